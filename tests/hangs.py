"""Makes a hanging test fail and say where it waits; the other tests run on.

A test that waits in an event loop is cancelled, and its traceback shows the wait. A test that keeps
the processor busy is interrupted; its bound is processor time, so that a busy machine makes no test
fail. If neither stops the test, faulthandler ends the process, and pytest-xdist names only the
test. faulthandler writes the stacks to standard error, which is far away in a long log or lost. So
each process gets a file for them, which is printed with the failures.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key  # the only way to say where to

_BOUND = 300.0  # seconds; more than any test takes, and less than faulthandler's bound
_PROCESSOR_BOUND = 60.0  # seconds of processor time; no test takes more than ten
_FOLDER = "stacks"  # key of what a process is told


def bound(items: list[pytest.Item]) -> None:
    """Bounds the time of tests that run in an event loop."""
    for item in items:
        if isinstance(item, pytest.Function) and _waits(item.obj):
            item.obj = _bounded(item.obj)


@contextmanager
def processor_bound() -> Iterator[None]:
    """Fails code that takes too much processor time, at the place where it is then."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_PROF, _PROCESSOR_BOUND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _interrupt(*_: object) -> None:
    # Not an Exception: busy code may catch those and go on.
    pytest.fail(f"keeps the processor busy for more than {_PROCESSOR_BOUND:g} s")


def _waits(test: Callable[..., Any]) -> bool:
    # hypothesis itself calls what it has wrapped
    return inspect.iscoroutinefunction(test) and not hasattr(test, "hypothesis")


def _bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(_BOUND):
            await test(*args, **kwargs)

    return bounded


class StacksOfProcesses:
    """A plugin of the process that starts the others."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stacks-")

    @pytest.hookimpl(optionalhook=True)  # pytest-xdist's
    def pytest_configure_node(self, node: Any) -> None:
        """Tells a process which file to write to."""
        node.workerinput[_FOLDER] = self._folder.name

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints what processes have written."""
        for file in sorted(Path(self._folder.name).iterdir()):
            if stacks := file.read_text("utf-8", "replace"):
                terminalreporter.section(f"stacks of process {file.name}")
                terminalreporter.write_line(stacks)

    def pytest_unconfigure(self) -> None:
        """Removes the files."""
        self._folder.cleanup()


def configure(config: pytest.Config) -> None:
    """Sets up the stacks of crashed processes; call it when faulthandler is configured."""
    told: dict[str, Any] | None = getattr(config, "workerinput", None)
    if told is None:
        config.pluginmanager.register(StacksOfProcesses())
        return
    file = os.open(Path(told[_FOLDER], told["workerid"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, config.stash[fault_handler_stderr_fd_key])
    os.close(file)
