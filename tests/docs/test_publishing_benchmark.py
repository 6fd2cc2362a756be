"""The benchmark of the broker backend gives figures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_each_number_of_sessions_has_figures(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, root / "benchmarks" / "publishing.py", "500"],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert result.returncode == 0, result.stderr
    figure = r"(\d+\.\d)"
    row = rf"^ *(\d+) sessions  nats-py +{figure} us  wsgw_nats +{figure} us  ratio "
    rows = re.findall(row, result.stdout, re.MULTILINE)
    assert [int(sessions) for sessions, _, _ in rows] == [1, 50]
    assert all(float(cost) > 0 for _, *costs in rows for cost in costs)
