"""A group of a websocket backend and a Redis, which takes the sessions during outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve

from wsgw_core.testing.running_gateway import running_gateway

from .redis_server import TIMEOUT, RedisServer, free_port
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


class Application:
    """A websocket backend that records messages, and that the test can kill."""

    def __init__(self) -> None:
        self.port = free_port()
        self.read: list[str] = []
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        options: dict[str, Any] = {"subprotocols": ["ocpp1.6"], "compression": None}
        self._server = await serve(self._serve, "127.0.0.1", self.port, **options)

    def kill(self) -> None:
        assert self._server is not None
        for connection in self._server.connections:
            connection.transport.abort()
        self._server.close(close_connections=False)

    async def stop(self) -> None:
        if self._server is not None:
            self.kill()
            await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        async for message in connection:
            assert isinstance(message, str)
            self.read.append(message)
            await connection.send(f"ws {message}")


@asynccontextmanager
async def application() -> AsyncIterator[Application]:
    running = Application()
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def test_sessions_wait_in_redis_and_return_by_drain(redis: RedisServer) -> None:
    async with application() as websocket, Worker(redis.client) as worker:
        backends = [
            {"id": "app", "url": websocket.url, "priority": 1, "replay-window": 0},
            {"id": "queue", "url": redis.url, "priority": 2, "events": ["connect", "message"]},
        ]
        async with (
            running_gateway({"upstream": {"backends": backends}}) as gateway,
            connect(gateway.url, subprotocols=["ocpp1.6"]) as client,  # type: ignore[list-item]  # any string
            asyncio.timeout(TIMEOUT),
        ):
            assert client.subprotocol == "ocpp1.6"
            for number in range(1, 6):
                await client.send(str(number))
                assert await client.recv() == f"ws {number}"
            websocket.kill()
            for number in range(6, 11):
                await client.send(str(number))
            entries = await worker.entries(1)
            assert (entries[0]["type"], entries[0]["subprotocol"]) == ("connect", "ocpp1.6")
            assert entries[0]["reconnect"] == "1"
            while "10" not in {entry.data.decode() for entry in entries}:
                entries += await worker.entries(1)
            messages = entries[1:]
            numbers = [int(entry["number"]) for entry in messages]
            assert numbers == list(range(numbers[0], 11))
            assert numbers[0] <= 6
            assert [entry.data.decode() for entry in messages] == list(map(str, numbers))
            assert len({entry["id"] for entry in messages}) == len(messages)

            await websocket.start()
            (session,) = gateway.gateway.sessions
            session.fail_over()
            while session.backend_id != "app":  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
            await worker.reply(messages[-1], data="late")
            assert await client.recv() == "late"
            await client.send("11")
            assert await client.recv() == "ws 11"
            assert gateway.count("redis_replies_dead") == 0


async def test_sessions_in_redis_return_to_recovered_backend(redis: RedisServer) -> None:
    async with application() as websocket, Worker(redis.client) as worker:
        backends = [
            {"id": "app", "url": websocket.url, "priority": 1, "replay-window": 0},
            {"id": "queue", "url": redis.url, "priority": 2, "events": ["connect", "message"]},
        ]
        upstream = {"backends": backends, "failback": True, "failback-after": "2s"}
        drain = {"quiet": "50ms"}
        async with (
            running_gateway({"upstream": upstream, "drain": drain}) as gateway,
            connect(gateway.url, subprotocols=["ocpp1.6"]) as client,  # type: ignore[list-item]  # any string
            asyncio.timeout(TIMEOUT),
        ):
            sent = 0

            async def say() -> None:
                nonlocal sent
                sent += 1
                await client.send(str(sent))

            for _ in range(3):
                await say()
                assert await client.recv() == f"ws {sent}"
            websocket.kill()
            entries: list[Any] = []
            for _ in range(3):
                await say()
            while not entries or entries[-1].data.decode() != str(sent):
                entries += await worker.entries(1)
            await websocket.start()
            (session,) = gateway.gateway.sessions
            while session.backend_id != "app":
                await say()
                await asyncio.sleep(0.2)  # the last answer is the central system's
            await say()
            while await client.recv() != f"ws {sent}":
                pass
            assert client.subprotocol == "ocpp1.6"
            assert gateway.count("failbacks") == gateway.count("moves") == 1
            assert gateway.count("undelivered_messages") == 0
            while str(int(entries[-1].data) + 1) not in websocket.read:
                entries += await worker.entries(1)
            parked = [entry for entry in entries if entry["type"] == "message"]
            numbers = [int(entry["number"]) for entry in parked]
            assert [entry.data.decode() for entry in parked] == list(map(str, numbers))
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            returned = websocket.read[websocket.read.index(str(numbers[-1] + 1)) :]
            assert returned == [str(number) for number in range(numbers[-1] + 1, sent + 1)]
            assert websocket.read == [*map(str, range(1, 4)), *returned]


async def test_late_replies_of_removed_backend_arrive(redis: RedisServer) -> None:
    async with application() as websocket, Worker(redis.client) as worker:
        application_entry = {"id": "app", "url": websocket.url}
        queue = {"id": "queue", "url": redis.url, "replies-grace": "1h"}
        async with (
            running_gateway({"upstream": {"backends": [queue]}}) as gateway,
            connect(gateway.url, subprotocols=["ocpp1.6"]) as client,  # type: ignore[list-item]  # any string
            asyncio.timeout(TIMEOUT),
        ):
            await client.send("1")
            (entry,) = await worker.entries(1)
            await gateway.reload({"upstream": {"backends": [application_entry]}})
            (session,) = gateway.gateway.sessions
            while session.backend_id != "app":  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
            for number in range(3):
                await worker.reply(entry, data=f"late {number}")
                assert await client.recv() == f"late {number}"
            await client.close()
            while any(  # noqa: ASYNC110 - no event to await
                each["name"].startswith("wsgw:") for each in await redis.client.client_list()
            ):
                await asyncio.sleep(0.01)
            assert gateway.count("redis_replies_dead") == 0


async def test_gateway_stops_at_once_despite_replies_grace(redis: RedisServer) -> None:
    async with application() as websocket, Worker(redis.client), asyncio.timeout(TIMEOUT):
        queue = {"id": "queue", "url": redis.url, "replies-grace": "1h"}
        async with (
            running_gateway({"upstream": {"backends": [queue]}}) as gateway,
            connect(gateway.url, subprotocols=["ocpp1.6"]),  # type: ignore[list-item]  # any string
        ):
            await gateway.reload({"upstream": {"backends": [{"id": "app", "url": websocket.url}]}})
            (session,) = gateway.gateway.sessions
            while session.backend_id != "app":  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
