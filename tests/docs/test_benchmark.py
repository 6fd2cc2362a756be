"""`make bench` measures something."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2,
        reason="needs taskset and two processors",
    ),
]


def test_the_gateway_is_measured(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    command: list[str | Path] = [
        *(sys.executable, root / "benchmarks" / "compare.py"),
        *("--workload", "small", "--workload", "large"),
        *("--rounds", "1", "--seconds", "0.5", "--no-haproxy", "--json", file),
    ]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    assert result.returncode == 0, result.stderr
    assert "| small | µs a round trip |" in result.stdout
    for rounds in json.loads(file.read_text()).values():
        (measured,) = rounds["wsgw"]
        assert measured["rate"] > 0
        assert measured["cpu_us"] > 0


def test_idle_connections_over_tls_are_measured_with_all_contenders(
    root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "all.json"
    command: list[str | Path] = [
        *(sys.executable, root / "benchmarks" / "compare.py"),
        *("--workload", "idle", "--connections", "300", "--frontend", "tls", "--json", file),
    ]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)

    assert result.returncode == 0, result.stderr
    for (measured,) in json.loads(file.read_text())["idle"].values():
        assert measured["kb"] > 0
