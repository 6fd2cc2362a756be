from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import pytest
from tests import hangs

hangs._BOUND = 0.3
hangs._PROCESSOR_BOUND = PROCESSOR_BOUND

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    hangs.configure(config)

def pytest_collection_modifyitems(items):
    hangs.bound(items)

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    with hangs.processor_bound():
        return (yield)
"""
BUSY = """
def test_that_never_ends():
    keep_the_processor_busy()

def keep_the_processor_busy():
    while True:
        pass

def test_that_ends():
    pass
"""
WAITING = """
import asyncio

async def test_that_never_ends():
    await a_message_from_godot()

async def a_message_from_godot():
    await asyncio.Event().wait()

async def test_that_ends():
    await asyncio.sleep(0)
"""


@pytest.fixture
def tried(tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "faulthandler_timeout = 60\nfaulthandler_exit_on_timeout = true\n"
        f"pythonpath = {pytestconfig.rootpath}\n"
    )
    return tmp_path


def run(folder: Path, test: str, *options: str, processor_bound: float = 60) -> str:
    """Runs a module of tests in its own process; returns the output."""
    conftest = CONFTEST.replace("= PROCESSOR_BOUND", f"= {processor_bound}")
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_tried.py").write_text(test)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "xdist.plugin",
            "-p",
            "pytest_asyncio.plugin",
            *options,
        ],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_hang_in_one_of_several_processes_says_where(tried: Path) -> None:
    told = run(tried, BUSY, "-n", "1", "-o", "faulthandler_timeout=3")

    assert "crashed while running 'test_tried.py::test_that_never_ends'" in told
    assert "stacks of process gw0" in told
    assert "in keep_the_processor_busy" in told
    assert "1 failed, 1 passed" in told


def test_endless_wait_in_an_event_loop_says_for_what(tried: Path) -> None:
    told = run(tried, WAITING)

    assert "in a_message_from_godot" in told
    assert "TimeoutError" in told
    assert "1 failed, 1 passed" in told


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer of the processor")
def test_busy_loop_says_where(tried: Path) -> None:
    told = run(
        tried,
        BUSY.replace(
            "pass\n\n", "try:\n            pass\n        except Exception:\n            pass\n\n", 1
        ),
        processor_bound=0.3,
    )

    assert "in keep_the_processor_busy" in told
    assert "keeps the processor busy for more than 0.3 s" in told
    assert "1 failed, 1 passed" in told
