"""`make bench` gives figures."""

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


def test_echo_workload_measures_the_gateway(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    command: list[str | Path] = [
        *(sys.executable, root / "benchmarks" / "compare.py"),
        *("--workload", "small", "--workload", "large"),
        *("--rounds", "1", "--seconds", "0.2", "--no-haproxy", "--json", file),
    ]
    result = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )

    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert "| small | µs a round trip |" in result.stdout
    for rounds in json.loads(file.read_text()).values():
        (measured,) = rounds["wsgw"]
        assert measured["rate"] > 0
        assert measured["cpu_us"] > 0


def test_idle_workload_over_tls_measures_all_contenders(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    command: list[str | Path] = [
        *(sys.executable, root / "benchmarks" / "compare.py"),
        *("--workload", "idle", "--connections", "40", "--frontend", "tls", "--json", file),
    ]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)

    assert result.returncode == 0, result.stderr
    for (measured,) in json.loads(file.read_text())["idle"].values():
        assert measured["kb"] > 0


CONFIG = """
server: {frontend: {address: "192.0.2.1:80", tls: {certificate: /no/a, key: /no/b}}}
upstream:
  policy: least-connections
  backends:
    - {id: shop, url: "wss://shop.invalid:1", tls: {verify: false}, ack_interval: 5ms}
routes:
  - {id: all, paths: ["/"], backends: [{kind: absent, id: x}]}
  - {id: rest}
"""


def bench(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "benchmarks" / "compare.py", "--no-haproxy", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_configuration_is_measured_with_the_benchmark_ends(root: Path, tmp_path: Path) -> None:
    config, file = tmp_path / "wsgw.yaml", tmp_path / "all.json"
    config.write_text(CONFIG)
    load = ("--workload", "small", "--rounds", "1", "--seconds", "0.2")

    result = bench(root, *load, "--config", config, "--json", file)

    assert result.returncode == 0, result.stderr
    (measured,) = json.loads(file.read_text())["small"]["wsgw"]
    assert measured["rate"] > 0


@pytest.mark.parametrize(
    ("text", "told"),
    [("a: [", "--config: "), ("- a", "--config: not a mapping"), ("zzz: 1", "unknown key 'zzz'")],
)
def test_unusable_configuration_is_reported(
    root: Path, tmp_path: Path, text: str, told: str
) -> None:
    config = tmp_path / "wsgw.yaml"
    config.write_text(text)

    result = bench(root, "--workload", "small", "--config", config)

    assert result.returncode != 0
    assert told in result.stderr
    assert "Traceback" not in result.stderr
