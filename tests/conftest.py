"""Configures all tests: number of processes, order, maximum durations, and hangs."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Iterator

import pytest
import websockets.asyncio.client
from hypothesis import HealthCheck, settings

from . import first_collection, hangs, other_loop, slow_first
from .chaos.drill_property import DRILL

# Until the tests are collected: what is loaded and collected stays.
gc.disable()

# A shell makes its background jobs ignore SIGINT, and the processes that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Clients connect directly; websockets would search the whole environment for a proxy for each.
vars(websockets.asyncio.client)["get_proxy"] = lambda _: None

# Most tests wait: for sockets, processes and timeouts. But each worker has to collect them all.
_WORKERS_PER_PROCESSOR = 4
_MOST_WORKERS = 16

# With so many processes, an example's time says little; a hanging one is still found.
# Each run tries the same examples, so that only a change can make it fail. For other and more
# examples: --hypothesis-profile=search.
settings.register_profile(
    "tests",
    settings(),
    deadline=10_000,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("tests"), derandomize=False)
settings.load_profile("tests")


@pytest.hookimpl(trylast=True)  # after faulthandler's
def pytest_configure(config: pytest.Config) -> None:
    """Finds where a test hangs; makes one process compile for all; marks tests of two loops."""
    hangs.configure(config)
    first_collection.configure(config)
    config.pluginmanager.register(other_loop)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Makes one process of a run compile for all."""
    first_collection.wait_for_it(session.config)


@pytest.hookimpl(trylast=True)  # after pytest has left out what -m and -k leave out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Makes hanging tests fail, and deals tests so that the processes of a run end together."""
    hangs.bound(items)
    if workers := getattr(config, "workerinput", {}).get("workercount", 0):
        items[:] = slow_first.dealt(items, workers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fails a test that keeps the processor busy."""
    with hangs.processor_bound():
        return (yield)


def pytest_collection_finish() -> None:
    """Excludes what has been collected from garbage collection: it is far more than any test makes.

    The little garbage in it is kept too; a search for it would take a second in each process.
    """
    gc.freeze()
    gc.enable()


@pytest.fixture
def log_set_up_anew() -> Iterator[None]:
    """Restores the log after a test that sets it up as the command does.

    The command's handler would keep writing to the standard error that pytest made for this test.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.hookimpl(optionalhook=True)  # pytest -p no:xdist works
def pytest_xdist_auto_num_workers() -> int:
    """Returns what `-n auto` means."""
    usable = getattr(os, "sched_getaffinity", None)
    processors = len(usable(0)) if usable else os.cpu_count() or 1
    return min(_WORKERS_PER_PROCESSOR * processors, _MOST_WORKERS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the drills' results; the process that prints loads no other conftest.py."""
    reports = [each for several in terminalreporter.stats.values() for each in several]
    packed = [
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == DRILL and isinstance(value, bytes)
    ]
    if packed:
        # The core's own tests run without the distribution of the drill.
        from .chaos.drill_table import write_table  # noqa: PLC0415 - see above

        write_table(terminalreporter, packed)
