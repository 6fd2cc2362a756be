"""For all tests: how many run at the same time, and how long an example of hypothesis may take."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# a hook; the process that prints it loads no conftest.py of a folder below this
from .chaos.drill_table import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# A shell has what it runs in the background ignore SIGINT, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Most tests wait: for sockets, processes and timeouts. But each worker has to collect them all.
_WORKERS_PER_PROCESSOR = 3
_MOST_WORKERS = 16

# With so much going on, time says little about an example; one that hangs is found all the same.
# A run tries what the run before tried, so that only a change can make it fail. For other examples,
# and more of them: --hypothesis-profile=search.
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


@pytest.hookimpl
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means."""
    usable = getattr(os, "sched_getaffinity", None)
    processors = len(usable(0)) if usable else os.cpu_count() or 1
    return min(_WORKERS_PER_PROCESSOR * processors, _MOST_WORKERS)
