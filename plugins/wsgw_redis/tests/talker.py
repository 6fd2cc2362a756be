"""Clients that send all the time, and a check of what Redis has."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect

from .redis_server import TIMEOUT
from .worker import Entry, Worker


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition without an event."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)


class Talker:
    """A client that sends a number every few milliseconds.

    Attributes:
        sent: messages sent so far.
    """

    def __init__(self, client: ClientConnection) -> None:
        self.sent = 0
        self._client = client
        self._task = asyncio.get_running_loop().create_task(self._talk())

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed."""
        return self._client.close_code is not None

    async def until_sent(self, more: int) -> None:
        """Waits until the client has sent so many more messages."""
        wanted = self.sent + more
        await until(lambda: self.sent >= wanted)

    async def stop(self) -> None:
        """Stops sending."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _talk(self) -> None:
        while True:
            await self._client.send(str(self.sent + 1))
            self.sent += 1
            await asyncio.sleep(0.005)


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Talker]:
    """Runs a talker."""
    async with connect(url) as client:
        talker = Talker(client)
        try:
            yield talker
        finally:
            await talker.stop()


async def check_history(worker: Worker, *talkers: Talker) -> list[Entry]:
    """Reads to the last message; asserts that all came in order and only replays came twice."""
    for talker in talkers:
        await talker.stop()
    entries: list[Entry] = []
    highest: defaultdict[str, int] = defaultdict(int)
    while sum(highest.values()) < sum(talker.sent for talker in talkers):
        entry = (await worker.entries(1))[0]
        entries.append(entry)
        number, session = int(entry["number"]), entry["session"]
        assert int(entry.data) == number
        assert number == highest[session] + 1 or "replayed" in entry, entry
        assert number <= highest[session] + 1
        highest[session] = max(highest[session], number)
    assert sorted(highest.values()) == sorted(talker.sent for talker in talkers)
    return entries
