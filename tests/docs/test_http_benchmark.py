"""The benchmark of web applications gives figures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2,
    reason="needs taskset and two processors",
)
def test_gateway_and_bare_loop_have_figures_and_a_ratio(root: Path) -> None:
    script = root / "benchmarks" / "http_requests.py"
    result = subprocess.run(
        [sys.executable, script, "--rounds", "1", "--seconds", "0.5"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert result.returncode == 0, result.stderr
    figures = dict(
        re.findall(r"^(bare loop|gateway|ratio) +(\d+\.\d+)", result.stdout, re.MULTILINE)
    )
    assert set(figures) == {"bare loop", "gateway", "ratio"}
    assert float(figures["ratio"]) > 0
