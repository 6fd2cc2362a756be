"""A backend that was removed, and the sessions that have left it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from wsgw_redis.backend import RedisBackend
from wsgw_redis.settings import RedisSettings

from wsgw_core.api import Close, CloseCause, DialRequest, Message
from wsgw_core.testing.context import make_context
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection

from .redis_server import TIMEOUT, RedisServer
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

LEFT = Close(1001, "bye")


@asynccontextmanager
async def backend(redis: RedisServer, *events: str) -> AsyncIterator[RedisBackend]:
    options = {"url": redis.url, "events": [*events, "message"], "replies-grace": "0s"}
    made = RedisBackend(RedisSettings.model_validate(options), make_context())
    await made.open()
    async with asyncio.timeout(TIMEOUT):
        yield made
    await made.close()


async def serve(backend: RedisBackend, session_id: str) -> tuple[WatchedConnection, RecordingSink]:
    """Serves a session until its first message, so that its connect event is stored, too."""
    sink = RecordingSink()
    connection = sink.watch(await backend.connect(DialRequest(session_id, "/"), sink))
    connection.start()
    connection.send(Message.from_text("hello"))
    await sink.until_delivered(1)
    return connection, sink


async def serve_and_leave(backend: RedisBackend, session_id: str) -> None:
    connection, sink = await serve(backend, session_id)
    connection.close(1001, "", CloseCause.SESSION_MOVES)
    await sink.until_closed()


async def event_ids(redis: RedisServer, count: int) -> list[str]:
    """Waits for entries, and returns the ids of those that are events."""
    entries = await Worker(redis.client).entries(count)
    return [entry["id"] for entry in entries if entry["type"] != "message"]


async def test_backend_stays_for_disconnect_event_of_session_that_lives_elsewhere(
    redis: RedisServer,
) -> None:
    async with backend(redis, "connect", "disconnect") as removed:
        await serve_and_leave(removed, "s1")
        lingering = asyncio.create_task(removed.linger())
        await asyncio.wait([lingering], timeout=0.1)
        assert not lingering.done()
        removed.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await lingering
    assert await event_ids(redis, 3) == ["s1-c0", "s1-d"]


async def test_backend_does_not_stay_for_session_of_another_backend_of_the_stream(
    redis: RedisServer,
) -> None:
    async with (
        backend(redis, "connect", "disconnect") as removed,
        backend(redis, "connect", "disconnect") as other,
    ):
        await serve_and_leave(removed, "s1")
        await serve_and_leave(other, "s1")
        await removed.linger()
        for each in (removed, other):
            each.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await serve(other, "s2")
        assert await event_ids(redis, 7) == ["s1-c0", "s1-c1", "s1-d", "s2-c0"]


async def test_backend_without_disconnect_events_does_not_stay(redis: RedisServer) -> None:
    async with backend(redis, "connect") as removed:
        await serve_and_leave(removed, "s1")
        await removed.linger()
