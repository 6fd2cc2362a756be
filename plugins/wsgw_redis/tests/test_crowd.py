"""Many sessions at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT, RedisServer
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Start = Callable[..., Awaitable[RedisServer]]

AT_A_TIME = 50
PARTS = 10  # messages from a worker to each client


@asynccontextmanager
async def crowd(url: str, count: int, **options: Any) -> AsyncIterator[list[ClientConnection]]:
    """Connects many clients and closes them at the end."""
    clients: list[ClientConnection] = []
    options = {"compression": None, "ping_interval": None, "open_timeout": TIMEOUT, **options}
    try:
        while len(clients) < count:
            dials = [connect(url, **options) for _ in range(min(AT_A_TIME, count - len(clients)))]
            clients += await asyncio.gather(*dials)
        yield clients
    finally:
        for client in clients:
            client.transport.abort()
        await asyncio.gather(*(client.wait_closed() for client in clients))


async def talk(client: ClientConnection, sent: dict[str, int], name: str, rate: float) -> None:
    """Sends numbers until cancelled."""
    while True:
        await client.send(f"{name} {sent[name] + 1}")
        sent[name] += 1
        await asyncio.sleep(1 / rate)


async def until_closed(client: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await client.recv()


async def until_served_by(gateway: RunningGateway, *backends: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        while any(  # noqa: ASYNC110 - no event to await
            session.backend_id not in backends for session in gateway.gateway.sessions
        ):
            await asyncio.sleep(0.01)


async def links(redis: RedisServer) -> list[str]:
    """Returns the last command of each connection of the gateway."""
    found = await redis.client.client_list()
    return sorted(each["cmd"] for each in found if each["name"].startswith("wsgw:"))


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "count"), [({}, 2), ({"subscribe": ["room"]}, 3)])
async def test_thousand_sessions_share_two_connections(
    redis: RedisServer, keys: dict[str, Any], count: int
) -> None:
    backend = {"id": "queue", "url": redis.url, **keys}
    async with (
        running_gateway({"upstream": {"backends": [backend]}}) as gateway,
        connect(gateway.url),
    ):
        assert len(await links(redis)) == count
        async with crowd(gateway.url, 999) as clients, Worker(redis.client) as worker:
            await asyncio.gather(*(client.send("x") for client in clients))
            await worker.entries(999)
            assert len(await links(redis)) == count
            assert len(gateway.gateway.sessions) == 1000


@pytest.mark.slow
async def test_two_thousand_sessions_move_together(start_redis: Start) -> None:
    first, second = await start_redis(), await start_redis()
    backends = [
        {"id": "first", "url": first.url, "priority": 1},
        {"id": "second", "url": second.url, "priority": 2},
    ]
    async with (
        running_gateway({"upstream": {"backends": backends}}) as gateway,
        crowd(gateway.url, 2000) as clients,
        Worker(second.client) as worker,
    ):
        assert len(await links(first)) == 2
        first.kill()
        await until_served_by(gateway, "second")
        assert len(await links(second)) == 2
        await asyncio.gather(*(client.send("x") for client in clients))
        assert len({entry["session"] for entry in await worker.entries(2000)}) == 2000
        assert all(client.close_code is None for client in clients)
        assert gateway.count("undelivered_messages") == 0


@pytest.mark.slow
async def test_three_kills_under_load_close_no_client(redis: RedisServer) -> None:
    """200 clients send 20 messages a second each; Redis is down for a second each time."""
    backend = {"id": "queue", "url": redis.url}
    async with (
        running_gateway({"upstream": {"backends": [backend]}}) as gateway,
        Worker(redis.client) as worker,
        crowd(gateway.url, 200) as clients,
    ):
        sent: dict[str, int] = defaultdict(int)
        tasks = [
            asyncio.create_task(talk(client, sent, str(number), 20))
            for number, client in enumerate(clients)
        ]
        for _ in range(3):
            await asyncio.sleep(0.5)  # under load
            redis.kill()
            await asyncio.sleep(1)  # down
            await redis.start()
            await until_served_by(gateway, "queue")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert not any(task.exception() for task in tasks if not task.cancelled())

        highest: dict[str, int] = defaultdict(int)
        left = sum(sent.values())
        while left:
            (entry,) = await worker.entries(1)
            name, number = entry.data.decode().split()
            assert entry["number"] == number
            if int(number) == highest[name] + 1:
                highest[name] += 1
                left -= 1
            else:
                assert int(number) <= highest[name]
                assert "replayed" in entry
        assert highest == sent
        assert all(client.close_code is None for client in clients)


@pytest.mark.slow
async def test_one_slow_client_of_hundred_harms_no_other(redis: RedisServer) -> None:
    backend = {"id": "queue", "url": redis.url, "reply-buffer": "256KiB"}
    # The slow client reads its close after the others have read all.
    config = {"upstream": {"backends": [backend]}, "limits": {"close-timeout": "60s"}}
    async with (
        running_gateway(config) as gateway,
        Worker(redis.client) as worker,
        crowd(gateway.url, 99) as clients,
        connect(gateway.url, max_queue=1, ping_interval=None) as lazy,
        asyncio.timeout(TIMEOUT),
    ):
        for client in clients:
            await client.send("good")
        await lazy.send("lazy")
        entries = await worker.entries(100)
        (slow,) = (entry for entry in entries if entry.data == b"lazy")

        async def read(client: ClientConnection) -> None:
            for part in range(PARTS):
                message = await client.recv()
                assert isinstance(message, str)
                assert int(message[:4]) == part

        reading = [asyncio.create_task(read(client)) for client in clients]
        for part in range(PARTS):
            async with redis.client.pipeline(transaction=False) as pipeline:
                for entry in entries:
                    reply = {"session": entry["session"], "data": f"{part:04}" + "x" * 50_000}
                    pipeline.xadd(entry["reply"], reply, nomkstream=True)
                await pipeline.execute()
            while gateway.count("redis_buffer_closes") == 0:
                await worker.reply(slow, data="x" * 1_000_000)
        await asyncio.gather(*reading)
        assert gateway.count("redis_buffer_closes") == 1
        assert all(client.close_code is None for client in clients)
        await until_closed(lazy)
        assert lazy.close_code == 1008
