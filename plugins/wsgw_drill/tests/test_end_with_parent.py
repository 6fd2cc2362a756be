"""Processes that end with their parent, and what they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

TIMEOUT = 60
# Starts a process that ignores SIGHUP, as redis-server does.
MODULE = """
import subprocess, sys, time

code = '''
import os, signal, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print(os.getppid(), os.getpid(), flush=True)
time.sleep(3600)
'''
subprocess.Popen([sys.executable, "-c", code])
time.sleep(3600)
"""
PARENT = """
import subprocess, sys, time

command = [sys.executable, "-m", "wsgw_drill.processes.end_with_parent", "starting"]
subprocess.Popen(command, stdin=subprocess.PIPE)
time.sleep(3600)
"""


def state_of(pid: int) -> str:
    """Returns the letter in /proc: `T` is stopped, `Z` has ended and is not awaited."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def until(is_true: Callable[[], bool]) -> bool:
    """Waits until a condition holds; returns whether it does."""
    end = time.monotonic() + TIMEOUT
    while not is_true() and time.monotonic() < end:
        time.sleep(0.01)
    return is_true()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux lists processes")
@pytest.mark.parametrize("is_frozen", [False, True])
def test_killed_parent_leaves_no_process_behind(tmp_path: Path, *, is_frozen: bool) -> None:
    (tmp_path / "starting.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        if is_frozen:
            os.killpg(pids[0], signal.SIGSTOP)
            assert until(lambda: all(state_of(pid) == "T" for pid in pids))
        parent.kill()
    have_ended = until(lambda: all(state_of(pid) == "Z" for pid in pids))
    if not have_ended:
        os.killpg(pids[0], signal.SIGKILL)
    assert have_ended
