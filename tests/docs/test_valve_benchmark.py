"""The benchmark of valves measures something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_each_sort_of_valve_has_a_figure(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, root / "benchmarks" / "valves.py", "200"],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )

    figures = re.findall(r"^(.*\S) +([+-]?\d+\.\d+) us$", result.stdout, re.MULTILINE)
    assert [name.rpartition(", ")[2] for name, _ in figures] == [
        "without a valve",
        "plain",
        "asynchronous",
        "that waits",
    ]
    assert float(figures[0][1]) > 0
