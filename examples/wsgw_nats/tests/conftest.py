"""Fixtures: a server with a stream. A logged error fails the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    no_fault_is_logged,
    pytest_asyncio_loop_factories,
)

from .nats_server import NatsServer
from .workers import Workers


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A running server."""
    server = NatsServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def workers(server: NatsServer) -> Workers:
    """The workers of a stream that takes all subjects `wsgw.>`."""
    workers = Workers(server.url)
    await workers.make_stream("wsgw.>")
    return workers
