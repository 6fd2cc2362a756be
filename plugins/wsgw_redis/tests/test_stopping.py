"""A gateway stops in time and leaves nothing open, whatever Redis does."""

from __future__ import annotations

import asyncio
import gc

import pytest
from websockets.asyncio.client import connect
from wsgw_redis import disconnects

from wsgw_core.testing.running_gateway import running_gateway

from .redis_server import TIMEOUT, RedisServer
from .talker import until
from .worker import Worker


@pytest.mark.parametrize("drain_time", [0, "200ms"])
@pytest.mark.parametrize("has_said_something", [False, True])
async def test_gateway_stops_in_time_with_frozen_redis(
    redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    drain_time: int | str,
    *,
    has_said_something: bool,
) -> None:
    backend = {
        "id": "queue",
        "url": redis.url,
        "events": ["connect", "message", "disconnect"],
        "command-timeout": "1h",  # so that only close-timeout applies
    }
    configuration = {
        "server": {"drain-time": drain_time},
        "limits": {"close-timeout": "300ms"},
        "upstream": {"backends": [backend]},
    }
    async with asyncio.timeout(TIMEOUT), Worker(redis.client) as worker:
        async with running_gateway(configuration) as gateway:
            clients = [await connect(gateway.url) for _ in range(3)]
            await worker.entries(3)
            redis.freeze()
            if has_said_something:
                for client in clients:
                    await client.send("x")
            closing = [asyncio.create_task(client.wait_closed()) for client in clients]
        await asyncio.wait(closing)
    assert [client.close_code for client in clients] == [1012] * 3
    told = [each.getMessage() for each in caplog.records if "confirmed" in each.getMessage()]
    assert told == ["lost 3 disconnect events that Redis has not confirmed"]
    assert ("with 3 client messages undelivered" in caplog.text) == has_said_something
    gc.collect()  # warns of open sockets


async def test_stop_does_not_wait_after_connection_loss(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    backend = {
        "url": redis.url,
        "events": ["message", "disconnect"],
        "command-timeout": "200ms",
        "connect-timeout": "200ms",
    }
    configuration = {"limits": {"close-timeout": "1h"}, "upstream": {"backends": [backend]}}
    async with asyncio.timeout(TIMEOUT):
        async with running_gateway(configuration) as gateway:
            client = await connect(gateway.url)
            redis.freeze()
            closing = asyncio.create_task(client.wait_closed())
        await closing
    assert "lost 1 disconnect events that Redis has not confirmed" in caplog.text


async def test_stop_connects_once_more_for_events_that_wait(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disconnects, "_PAUSE", 3600.0)  # so that nothing else connects
    backend = {"url": redis.url, "events": ["connect", "message", "disconnect"]}
    async with asyncio.timeout(TIMEOUT), Worker(redis.client) as worker:
        async with running_gateway({"upstream": {"backends": [backend]}}) as gateway:
            async with connect(gateway.url):
                await worker.entries(1)
                redis.kill()
            await until(lambda: not gateway.gateway.sessions)
            await redis.start()
        left = await worker.entries(1)
    assert left[0]["type"] == "disconnect"
    assert "confirmed" not in caplog.text


async def test_stop_connects_once_more_no_longer_than_the_close_timeout(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disconnects, "_PAUSE", 3600.0)  # so that nothing else connects
    backend = {
        "url": redis.url,
        "events": ["message", "disconnect"],
        "command-timeout": "200ms",
        "connect-timeout": "1h",
    }
    configuration = {"limits": {"close-timeout": "1s"}, "upstream": {"backends": [backend]}}
    async with asyncio.timeout(TIMEOUT):
        async with running_gateway(configuration) as gateway:
            async with connect(gateway.url):
                redis.freeze()
            [pooled] = gateway.gateway.pool.backends
            await until(lambda: bool(pooled.outage.reason))
    assert "lost 1 disconnect events that Redis has not confirmed" in caplog.text
    assert "while closing" not in caplog.text


async def test_stop_logs_nothing_when_redis_has_all_events(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    backend = {"url": redis.url, "events": ["message", "disconnect"]}
    async with asyncio.timeout(TIMEOUT), Worker(redis.client) as worker:
        async with running_gateway({"upstream": {"backends": [backend]}}) as gateway:
            for _ in range(3):
                await connect(gateway.url)
        left = await worker.entries(3)
    assert {(entry["type"], entry["by"]) for entry in left} == {("disconnect", "gateway")}
    assert "confirmed" not in caplog.text
