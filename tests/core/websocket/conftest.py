"""Tests of sockets run on both event loops that a gateway may have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return what an asynchronous test is run on, one after the other."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
