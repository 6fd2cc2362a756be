"""Clients of the drill with a limit of unanswered messages."""

from __future__ import annotations

import asyncio
import math

from websockets.asyncio.server import ServerConnection, serve
from wsgw_drill.load_client import Load, LoadClient

from wsgw_core.testing.numbered_message import head_of

AHEAD = 5
LOAD = Load(rate=math.inf, smallest=64, largest=64, ahead=AHEAD)


class Backend:
    """A backend that answers when the test allows it."""

    def __init__(self) -> None:
        self.read = 0
        self.answers = asyncio.Event()
        self._changed = asyncio.Condition()

    async def application(self, connection: ServerConnection) -> None:
        """Serves one client."""
        async for message in connection:
            async with self._changed:
                self.read += 1
                self._changed.notify_all()
            await self.answers.wait()
            client, number = head_of(message)
            await connection.send(f"{client} {number} blue 1")

    async def until_read(self, count: int) -> None:
        """Waits until the backend has read `count` messages."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.read >= count)


async def test_client_at_limit_ahead_waits_for_answer() -> None:
    backend, client = Backend(), LoadClient("c", LOAD)
    async with serve(backend.application, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        running = asyncio.create_task(client.run(f"ws://127.0.0.1:{port}"))
        await backend.until_read(1)
        while client.record.sent < AHEAD:  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert client.record.sent == AHEAD
        backend.answers.set()
        await backend.until_read(3 * AHEAD)
        client.stop_sending()
        await running

    assert client.record.satisfied
    assert not client.record.dropped


async def test_waiting_client_notices_end_of_connection() -> None:
    backend, client = Backend(), LoadClient("c", LOAD)
    async with serve(backend.application, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        running = asyncio.create_task(client.run(f"ws://127.0.0.1:{port}"))
        await backend.until_read(1)
        for connection in server.connections:
            connection.transport.abort()
        async with asyncio.timeout(60):
            await running
        backend.answers.set()

    assert client.record.dropped


async def test_client_that_reads_nothing_stops_at_limit_ahead() -> None:
    backend, client, enough = Backend(), LoadClient("c", LOAD), asyncio.Event()
    backend.answers.set()
    async with serve(backend.application, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        running = asyncio.create_task(client.send_without_reading(url, enough))
        await backend.until_read(AHEAD)
        await asyncio.sleep(0.05)
        enough.set()
        await running

    assert backend.read == AHEAD
