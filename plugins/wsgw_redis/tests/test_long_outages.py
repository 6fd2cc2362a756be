"""Outages of Redis that are longer than the timeouts."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.testing.running_gateway import running_gateway

from .redis_server import RedisServer
from .talker import check_history, talking, until
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


@pytest.mark.slow
async def test_twelve_seconds_without_memory_lose_nothing(redis: RedisServer) -> None:
    loop = asyncio.get_running_loop()
    backend = {"id": "queue", "url": redis.url}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        gateway = await enter(running_gateway({"upstream": {"backends": [backend]}}))
        worker = await enter(Worker(redis.client))
        talkers = [await enter(talking(gateway.url)) for _ in range(5)]
        for talker in talkers:
            await talker.until_sent(20)
        await redis.client.config_set("maxmemory", 1)
        sessions = gateway.gateway.sessions
        await until(lambda: all(session.backend_id is None for session in sessions))
        begin = loop.time()
        while loop.time() < begin + 12:
            with pytest.raises(InvalidStatus, match="502"):
                await connect(gateway.url)
        assert 1 <= gateway.count("dials_failed") < 10 + 10 * (loop.time() - begin)
        await redis.client.config_set("maxmemory", 0)
        for talker in talkers:
            await talker.until_sent(20)
        await check_history(worker, *talkers)
        assert not any(talker.is_closed for talker in talkers)


@pytest.mark.slow
async def test_eight_seconds_of_silence_lose_nothing(redis: RedisServer) -> None:
    loop = asyncio.get_running_loop()
    backend = {"id": "queue", "url": redis.url, "command-timeout": "5s"}
    async with (
        running_gateway({"upstream": {"backends": [backend]}}) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        await talker.until_sent(20)
        redis.freeze()
        begin = loop.time()
        (session,) = gateway.gateway.sessions
        await until(lambda: session.backend_id is None)
        assert loop.time() - begin > 4  # not at once: the server might only be slow
        await asyncio.sleep(begin + 8 - loop.time())
        redis.thaw()
        await talker.until_sent(20)
        entries = await check_history(worker, talker)
        ids = {entry["number"]: entry["id"] for entry in reversed(entries)}
        assert all(entry["id"] == ids[entry["number"]] for entry in entries)
        assert len(entries) > talker.sent  # some are replays
        assert not talker.is_closed
