"""A client that sends numbered messages and counts the answers. It never connects again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

_INTERVAL = 0.01
_CLOSE_TIMEOUT = 2.0


@dataclass(slots=True)
class Tally:
    """The fate of the messages.

    Attributes:
        sent: messages sent, numbered from 1.
        answers: how often each number was answered.
        disconnects: number of lost connections.
        out_of_order: first answers that came after the answer to a later message.
        longest_pause: the longest time between two answers, in seconds.
    """

    sent: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    disconnects: int = 0
    out_of_order: int = 0
    longest_pause: float = 0.0

    @property
    def answered(self) -> int:
        """The number of answered messages."""
        return len(self.answers)

    @property
    def lost(self) -> int:
        """The number of messages without an answer."""
        return self.sent - self.answered

    @property
    def duplicated(self) -> int:
        """The number of repeated answers."""
        return self.answers.total() - self.answered

    @property
    def unnoticed(self) -> bool:
        """Whether the client noticed no failure."""
        return self.sent > 0 and not (self.lost or self.disconnects or self.out_of_order)


class CountingClient:
    """Sends a message every ten milliseconds over one websocket.

    Args:
        url: the gateway's.
        served_by: called with the backend's name when the serving backend changes.
    """

    def __init__(self, url: str, served_by: Callable[[str], None]) -> None:
        self.tally = Tally()
        self.backend = ""
        self._url = url
        self._served_by = served_by
        self._sending = True
        self._latest = 0
        self._last_answer = 0.0
        self._all_answered = asyncio.Event()

    def stop_sending(self) -> None:
        """Stops sending; `run` waits for the pending answers."""
        self._sending = False

    async def run(self, seconds: float) -> None:
        """Sends and counts until `stop_sending`, and then until all messages are answered.

        Args:
            seconds: seconds to wait for the last answers.

        Raises:
            OSError, websockets.exceptions.WebSocketException: the connection cannot be opened.
        """
        async with connect(
            self._url, compression=None, proxy=None, close_timeout=_CLOSE_TIMEOUT
        ) as connection:
            self._last_answer = time.monotonic()
            receiving = asyncio.create_task(self._receive(connection))
            try:
                await self._send(connection)
                await self._wait_for_answers(receiving, seconds)
                if connection.close_code is not None:
                    self.tally.disconnects += 1
            finally:
                receiving.cancel()

    async def _send(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while self._sending:
                self.tally.sent += 1
                await connection.send(str(self.tally.sent))
                await asyncio.sleep(_INTERVAL)

    async def _wait_for_answers(self, receiving: asyncio.Task[None], seconds: float) -> None:
        if not self.tally.lost:
            return
        self._all_answered.clear()
        answered = asyncio.create_task(self._all_answered.wait())
        await asyncio.wait(
            (answered, receiving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        answered.cancel()
        if receiving.done():
            receiving.result()

    async def _receive(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                backend, _, number = str(message).rpartition(" ")
                self._count(int(number))
                if backend != self.backend:
                    self.backend = backend
                    self._served_by(backend)

    def _count(self, number: int) -> None:
        tally, now = self.tally, time.monotonic()
        tally.longest_pause = max(tally.longest_pause, now - self._last_answer)
        self._last_answer = now
        if number < self._latest and number not in tally.answers:
            tally.out_of_order += 1
        self._latest = max(self._latest, number)
        tally.answers[number] += 1
        if not tally.lost:
            self._all_answered.set()
