"""Clients that send numbered messages and write down what they get."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .history import Sent

INTERVAL = 0.01


class LoadClient:
    """One client; it never connects again.

    Args:
        name: its id, without spaces.
        size: bytes of a message.
    """

    def __init__(self, name: str, size: int) -> None:
        self.record = Sent(name)
        self._padding = "x" * max(0, size - len(name) - 8)
        self._sending = True
        self._news = asyncio.Event()
        self._last_answer = 0.0
        self.connection: ClientConnection | None = None

    def stop_sending(self) -> None:
        self._sending = False

    async def run(self, url: str) -> None:
        """Send at a steady pace until told to stop, then wait until all is answered."""
        async with self._connected(url) as connection:
            receiving = asyncio.create_task(self._receive(connection))
            try:
                with contextlib.suppress(ConnectionClosed):
                    while self._sending:
                        await self._send(connection)
                        await asyncio.sleep(INTERVAL)
                while not self.record.satisfied and connection.close_code is None:
                    self._news.clear()
                    await self._news.wait()
            finally:
                self.record.dropped = connection.close_code is not None
                receiving.cancel()

    async def send_and_close(self, url: str, count: int) -> None:
        """Send this many messages as fast as they go and close at once."""
        async with self._connected(url) as connection:
            for _ in range(count):
                await self._send(connection)
            self.record.dropped = connection.close_code is not None

    async def send_and_vanish(self, url: str, count: int) -> None:
        """Send this many messages and break the connection off without a word."""
        async with self._connected(url) as connection:
            for _ in range(count):
                await self._send(connection)
            connection.transport.abort()

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[ClientConnection]:
        async with connect(url, compression=None, ping_interval=None, proxy=None) as connection:
            self.connection = connection
            yield connection

    async def _send(self, connection: ClientConnection) -> None:
        record = self.record
        await connection.send(f"{record.client} {record.sent} {self._padding}")
        record.sent += 1

    async def _receive(self, connection: ClientConnection) -> None:
        record = self.record
        self._last_answer = time.monotonic()
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                _, number = str(message).split(" ")
                record.answered.add(int(number))
                now = time.monotonic()
                record.longest_pause = max(record.longest_pause, now - self._last_answer)
                self._last_answer = now
                self._news.set()
        self._news.set()
