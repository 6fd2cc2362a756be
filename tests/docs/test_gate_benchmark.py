"""The benchmark of gates gives figures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_each_gate_has_a_figure(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, root / "benchmarks" / "gates.py", "20"],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )

    figures = re.findall(r"^(\w+), .*\S +(\d+\.\d+) us$", result.stdout, re.MULTILINE)
    assert [name for name, _ in figures] == ["access", "headers", "jwt", "jwt", "jwt"]
    assert all(float(figure) > 0 for _, figure in figures)
