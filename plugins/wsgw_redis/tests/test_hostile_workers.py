"""Invalid entries from a worker harm no session."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from wsgw_core.testing.running_gateway import running_gateway

from .redis_server import TIMEOUT, RedisServer
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Fields = dict[str | bytes, str | bytes]

BYSTANDERS = 20
PARTS = 30
GARBAGE: list[Fields] = [
    {"x": "y"},
    {b"\xff\xfe": b"\xff"},
    {"session": ""},
    {"session": b"\xff" * 1000, "data": b"\xff"},
    {"session": "x" * 5000, "kind": "neither", "data": "x"},
    {"session": "nobody", "close": "9" * 5000},
    {"close": "1000"},
    {f"field {number}": "x" for number in range(1000)},
]
UNKNOWN: list[Fields] = [{"session": "nobody", "data": "x"}]
LARGE: list[Fields] = [{"session": "nobody", "data": "x" * 10_000_000}]


@pytest.mark.parametrize(
    ("entries", "count"),
    [(GARBAGE, 50), (UNKNOWN, 200), (LARGE, 1)],
    ids=["garbage", "unknown sessions", "10 MB each"],
)
async def test_invalid_entries_between_replies_harm_no_session(
    redis: RedisServer, entries: list[Fields], count: int
) -> None:
    """Before each reply there are so many invalid entries."""
    async with (
        running_gateway({"upstream": {"backends": [{"id": "queue", "url": redis.url}]}}) as gateway,
        Worker(redis.client) as worker,
        AsyncExitStack() as stack,
        asyncio.timeout(TIMEOUT),
    ):
        clients: list[ClientConnection] = []
        for _ in range(BYSTANDERS):
            clients.append(await stack.enter_async_context(connect(gateway.url)))
            await clients[-1].send("x")
        asked = await worker.entries(BYSTANDERS)
        garbage = cycle(entries)
        for part in range(PARTS):
            pipeline: Any
            async with redis.client.pipeline(transaction=False) as pipeline:
                for _ in range(count):
                    pipeline.xadd(asked[0]["reply"], next(garbage))
                for entry in asked:
                    pipeline.xadd(entry["reply"], {"session": entry["session"], "data": str(part)})
                await pipeline.execute()
        for client in clients:
            heard = [await client.recv() for _ in range(PARTS)]
            assert heard == [str(part) for part in range(PARTS)]
        assert gateway.count("redis_replies_dead") == PARTS * count
        assert gateway.count("redis_replies") == PARTS * BYSTANDERS
        assert gateway.count("redis_reconnects") == 0


async def test_flood_of_tiny_replies_closes_only_slow_client(redis: RedisServer) -> None:
    backend = {"id": "queue", "url": redis.url, "reply-buffer": "64KiB"}
    async with (
        running_gateway({"upstream": {"backends": [backend]}}) as gateway,
        Worker(redis.client) as worker,
        connect(gateway.url) as good,
        connect(gateway.url, max_queue=1, close_timeout=1) as lazy,
        asyncio.timeout(TIMEOUT),
    ):
        await good.send("good")
        await lazy.send("lazy")
        entries = {entry.data: entry for entry in await worker.entries(2)}
        lazy.transport.pause_reading()
        part = 0
        while not gateway.count("redis_buffer_closes"):
            pipeline: Any
            async with redis.client.pipeline(transaction=False) as pipeline:
                for _ in range(2000):
                    reply = {"session": entries[b"lazy"]["session"], "data": "x" * 100}
                    pipeline.xadd(entries[b"lazy"]["reply"], reply)
                await pipeline.execute()
            await worker.reply(entries[b"good"], data=str(part))
            assert await good.recv() == str(part)
            part += 1
        assert good.close_code is None
        assert gateway.count("redis_buffer_closes") == 1
