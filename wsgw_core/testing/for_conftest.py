"""Fixtures and hooks for the conftest.py of a plugin's tests; pytest finds them by their names.

    from wsgw_core.testing.for_conftest import no_fault_is_logged, pytest_asyncio_loop_factories

Needs pytest; `pytest_asyncio_loop_factories` is a hook of pytest-asyncio's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]  # checked where it is used


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Returns the event loops that a gateway may have; each asynchronous test runs on both.

    `pytest.mark.asyncio(loop_factories=["uvloop"])` chooses one.
    """
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]]
    factories = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(autouse=True)
def nothing_unhandled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test in which an event loop reports an unhandled exception."""
    yield
    assert not _errors(caplog, "asyncio")


@pytest.fixture(autouse=True)
def no_fault_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test in which the gateway or an event loop logs an error."""
    yield
    assert not _errors(caplog, "asyncio", "wsgw")


def _errors(caplog: pytest.LogCaptureFixture, *loggers: str) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name.partition(".")[0] in loggers and record.levelno >= logging.ERROR
    ]
