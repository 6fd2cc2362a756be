"""Many sessions at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import PATIENCE, RedisServer
from .worker import Worker

CLIENTS = 100
RATE = 10  # messages a second of each


async def talk(client: ClientConnection, sent: dict[str, int], name: str) -> None:
    """Send numbers until cancelled."""
    while True:
        await client.send(f"{name} {sent[name] + 1}")
        sent[name] += 1
        await asyncio.sleep(1 / RATE)


async def until_all_are_served(gateway: RunningGateway) -> None:
    async with asyncio.timeout(PATIENCE):
        while any(  # noqa: ASYNC110 - nothing tells
            session.backend_id is None for session in gateway.gateway.sessions
        ):
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_three_kills_under_load_are_noticed_by_nobody(redis: RedisServer) -> None:
    failover = {"dial-timeout": "2s"}
    backend = {"id": "queue", "url": redis.url}
    configuration = {"upstream": {"backends": [backend]}, "failover": failover}
    async with running_gateway(configuration) as gateway, Worker(redis.client) as worker:
        clients = [await connect(gateway.url) for _ in range(CLIENTS)]
        sent: dict[str, int] = defaultdict(int)
        tasks = [
            asyncio.create_task(talk(client, sent, str(number)))
            for number, client in enumerate(clients)
        ]
        for _ in range(3):
            await asyncio.sleep(0.5)  # under load
            redis.kill()
            await asyncio.sleep(0.5)  # away
            await redis.start()
            await until_all_are_served(gateway)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert not any(task.exception() for task in tasks if not task.cancelled())

        highest: dict[str, int] = defaultdict(int)
        while highest != sent:
            (entry,) = await worker.entries(1)
            name, number = entry.data.decode().split()
            assert entry["number"] == number
            assert int(number) == highest[name] + 1 or "replayed" in entry
            highest[name] = max(highest[name], int(number))
        assert all(client.close_code is None for client in clients)
        for client in clients:
            with suppress(OSError):
                await client.close()


@pytest.mark.slow
async def test_one_client_that_does_not_read_harms_no_other(redis: RedisServer) -> None:
    backend = {"id": "queue", "url": redis.url}
    async with (
        running_gateway({"upstream": {"backends": [backend]}}) as gateway,
        Worker(redis.client) as worker,
        asyncio.timeout(PATIENCE),
    ):
        clients = [await connect(gateway.url, max_queue=4) for _ in range(20)]
        for number, client in enumerate(clients):
            await client.send(str(number))
        entries = await worker.entries(20)
        slow = next(entry for entry in entries if entry.data == b"0")

        async def read(client: ClientConnection) -> None:
            for part in range(40):
                message = await client.recv()
                assert isinstance(message, str)
                assert int(message[:4]) == part

        reading = [asyncio.create_task(read(client)) for client in clients[1:]]
        for part in range(40):
            for entry in entries:
                await worker.reply(entry, data=f"{part:04}" + "x" * 100_000)
        await asyncio.gather(*reading)
        while gateway.count("redis_buffer_closes") == 0:
            await worker.reply(slow, data="x" * 100_000)
        assert gateway.count("redis_buffer_closes") == 1
        assert all(client.close_code is None for client in clients[1:])
        for client in clients:
            await client.close()
