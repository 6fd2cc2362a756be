"""A group of a websocket backend and a Redis: Redis as the place where sessions are parked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve

from wsgw_core.testing.running_gateway import running_gateway

from .redis_server import PATIENCE, RedisServer, free_port
from .worker import Worker


class Application:
    """A websocket backend that keeps what it reads, and can be killed."""

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


async def test_sessions_are_parked_in_redis_and_go_back(redis: RedisServer) -> None:
    async with application() as websocket, Worker(redis.client) as worker:
        backends = [
            {"id": "app", "url": websocket.url, "priority": 1, "replay-window": 0},
            {"id": "queue", "url": redis.url, "priority": 2, "events": ["connect", "message"]},
        ]
        async with (
            running_gateway({"upstream": {"backends": backends}}) as gateway,
            connect(gateway.url, subprotocols=["ocpp1.6"]) as client,  # type: ignore[list-item]  # any text
            asyncio.timeout(PATIENCE),
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
            while session.backend_id != "app":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            await worker.reply(messages[-1], data="late")
            assert await client.recv() == "late"
            await client.send("11")
            assert await client.recv() == "ws 11"
            assert gateway.count("redis_replies_dead") == 0
