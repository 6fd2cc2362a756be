"""`wsgw demo`: two backends die in turn, and nothing is lost."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

WSGW = Path(sys.executable).with_name("wsgw")


def environment() -> dict[str, str]:
    # The demo must ignore settings of the shell, which would break it.
    return {**os.environ, "BE_URLS": "ws://nowhere.invalid:1", "FE_ADDR": "x", "TERM": "dumb"}


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [WSGW, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
    ) as process:
        yield process
        process.kill()


def ports_until_the_client_is_served(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    ports = []
    for line in process.stdout:
        ports += [int(port) for port in re.findall(r"listens on port (\d+)", line)]
        if "is served by" in line:
            return ports
    raise AssertionError("the client was never served")


def all_are_closed(ports: list[int], timeout: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if not any(is_open(port) for port in ports):
            return True
        time.sleep(0.02)
    return False


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_demo_loses_no_message_and_no_connection() -> None:
    result = subprocess.run(
        [WSGW, "demo"], check=False, capture_output=True, text=True, env=environment(), timeout=60
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert result.stdout.count("kill -9") == 2
    row = re.search(r"(\d+) +\S+ (\d+) +\S+ (\d+) +\S+ (\d+) +\S+ (\d+) +\S+ \d+ ms", result.stdout)
    assert row, result.stdout
    sent, answered, lost, _, disconnects = map(int, row.groups())
    assert sent == answered > 200
    assert (lost, disconnects) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_to_the_demo_ends_all_its_processes(
    running: subprocess.Popen[str], number: signal.Signals
) -> None:
    ports = ports_until_the_client_is_served(running)
    assert len(ports) == 3
    assert all(is_open(port) for port in ports)

    running.send_signal(number)

    assert running.wait(30) == (-number if number == signal.SIGKILL else 130)
    assert all_are_closed(ports)
