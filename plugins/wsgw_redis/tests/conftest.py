"""Fixtures: both event loops, and Redis servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    nothing_unhandled,
    pytest_asyncio_loop_factories,
)

from .redis_server import RedisServer


@pytest.fixture
async def start_redis(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[RedisServer]]]:
    """Starts servers; the arguments are options of the command line."""
    servers: list[RedisServer] = []

    async def start(*options: str) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *options))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def redis(start_redis: Callable[..., Awaitable[RedisServer]]) -> RedisServer:
    """Returns a server."""
    return await start_redis()
