"""What the tests share: a server with a stream, and what is logged as an error fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from .nats_server import NatsServer
from .workers import Workers


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return what an asynchronous test is run on, one after the other."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def nothing_unhandled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which something of the gateway's, or an event loop, reports an error."""
    yield
    reports = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name.partition(".")[0] in ("asyncio", "wsgw") and record.levelno >= logging.ERROR
    ]
    assert not reports, "\n".join(reports)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A server, started."""
    server = NatsServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def workers(server: NatsServer) -> Workers:
    """The workers of a stream on it that takes all subjects that begin with `wsgw.`."""
    workers = Workers(server.url)
    await workers.make_stream("wsgw.>")
    return workers
