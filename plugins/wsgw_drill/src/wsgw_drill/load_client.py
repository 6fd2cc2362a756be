"""Clients that send numbered messages and record the answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from wsgw_core.api import CloseCode
from wsgw_core.testing.numbered_message import PUSHED, compose, is_text

from .history import Sent
from .request import Request

_CLOSE_TIMEOUT = 15.0
_RETRY = 0.2
_NOT_NOW = 429  # and all from 500
# The drill's backends send none of these codes.
_OF_REFUSALS = {
    CloseCode.UNSUPPORTED_DATA,
    CloseCode.INVALID_PAYLOAD,
    CloseCode.POLICY_VIOLATION,
    CloseCode.TOO_BIG,
    *range(3000, 5000),
}
_ANSWER = re.compile(r"(\S+) (\d+) (\S+) (\S+)")  # see recording_backend
_SHOWN = 100  # characters of the text of a refusal


class Refused(Exception):
    """The gateway refuses the clients or their messages; the text says why."""


@dataclass(frozen=True)
class Load:
    """How clients load the gateway.

    Attributes:
        rate: messages a second of each client; infinite: as fast as possible.
        smallest, largest: bytes of a message; the logarithm of the size is uniform.
        request: the opening handshake.
        compress: whether clients and backends use permessage-deflate.
        timeout: seconds for which a client retries a temporary refusal.
        ahead: messages without an answer at which a client waits; None: no limit.
    """

    rate: float
    smallest: int
    largest: int
    request: Request = field(default_factory=Request)
    compress: bool = False
    timeout: float = 20.0
    ahead: int | None = None

    def size(self) -> int:
        """Returns the size of the next message."""
        low, high = math.log(self.smallest), math.log(self.largest)
        return round(math.exp(random.uniform(low, high)))  # noqa: S311 - not a secret


class LoadClient:
    """One client; it never connects again.

    Args:
        name: its id, without spaces.
        load: what it sends.

    Attributes:
        record: what it has sent and received.
        connected: whether it was ever connected.
        place: the backend of the last answer.
        answers: number of answers, including repeated ones.
    """

    def __init__(self, name: str, load: Load) -> None:
        self.record = Sent(name)
        self.connected = False
        self.place = ""
        self.answers = 0
        self._load = load
        self._sending = True
        self._news = asyncio.Event()
        self._last_answer = 0.0
        self._connection = ""
        self._highest = -1

    def stop_sending(self) -> None:
        """Stops sending; `run` waits for the pending answers."""
        self._sending = False
        self._news.set()

    def served_since(self, number: int) -> bool:
        """Returns whether a message with this number or a later one was answered."""
        return self._highest >= number

    async def run(self, url: str) -> None:
        """Sends at a steady rate until `stop_sending`, then waits for all answers.

        Raises:
            Refused: the gateway refuses the client or its messages.
        """
        async with self._connected(url) as connection:
            receiving = asyncio.create_task(self._receive(connection))
            try:
                with contextlib.suppress(ConnectionClosed):
                    await self._send_steadily(connection)
                while not self.record.satisfied and connection.close_code is None:
                    self._news.clear()
                    await self._news.wait()
            finally:
                self._note_close(connection)
                receiving.cancel()
            if self.record.close_code in _OF_REFUSALS:
                raise Refused(
                    f"a client was closed with {self.record.close}: what clients send, which"
                    " follows no protocol, must pass the gateway's valves and limits; see --rate"
                    " and --size"
                )

    async def send_and_close(self, url: str, count: int) -> None:
        """Sends messages as fast as possible and closes at once."""
        async with self._connected(url) as connection:
            receiving = asyncio.create_task(self._receive(connection))
            with contextlib.suppress(ConnectionClosed):
                for _ in range(count):
                    await self._send(connection)
            self._note_close(connection)
            self.record.closed = time.monotonic_ns()
            await connection.close()
            await receiving

    async def send_and_vanish(self, url: str, count: int) -> None:
        """Sends messages and drops the connection without a close."""
        async with self._connected(url) as connection:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(count):
                    await self._send(connection)
            connection.transport.abort()

    async def send_without_reading(self, url: str, until: asyncio.Event) -> None:
        """Sends as fast as possible without reading until an event; then drops the connection.

        It sends at most `Load.ahead` messages.
        """
        async with self._connected(url) as connection:
            connection.transport.pause_reading()
            sending = asyncio.create_task(self._send_on(connection))
            await until.wait()
            connection.transport.abort()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[ClientConnection]:
        connection = await self._connect(url)
        self.connected = True
        try:
            yield connection
            await connection.close()
        finally:
            connection.transport.abort()  # for a client that is cancelled; else it is closed

    async def _connect(self, url: str) -> ClientConnection:
        trusting = _trust_everybody() if url.startswith("wss:") else None
        request = self._load.request
        there: dict[str, Any] = {}
        if request.host:
            parts = urlsplit(url)
            port = parts.port or (80 if trusting is None else 443)
            there = {"host": parts.hostname, "port": port}
        deadline = time.monotonic() + self._load.timeout
        while True:
            try:
                return await connect(
                    request.uri(url),
                    additional_headers=request.headers,
                    compression="deflate" if self._load.compress else None,
                    max_size=None,
                    ping_interval=None,
                    proxy=None,
                    ssl=trusting,
                    open_timeout=self._load.timeout,
                    close_timeout=_CLOSE_TIMEOUT,
                    **there,
                )
            except InvalidStatus as error:
                status = error.response.status_code
                if (status < 500 and status != _NOT_NOW) or time.monotonic() > deadline:
                    raise Refused(_refusal_text(error)) from error
            except (OSError, InvalidHandshake, EOFError) as error:
                if time.monotonic() > deadline:
                    why = str(error) or type(error).__name__
                    raise Refused(f"a client cannot connect: {why}") from error
            await asyncio.sleep(_RETRY)

    async def _send_steadily(self, connection: ClientConnection) -> None:
        interval = 1 / self._load.rate
        # All clients start at the same time; the offset spreads their load.
        due = time.monotonic() + random.uniform(0, interval)  # noqa: S311 - not a secret
        while self._sending:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._room(connection)
            await self._send(connection)
            due = max(due + interval, time.monotonic())  # a delay is not made up for

    async def _room(self, connection: ClientConnection) -> None:
        while self._is_ahead and self._sending and connection.close_code is None:
            self._news.clear()
            await self._news.wait()

    async def _send_on(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while not self._is_ahead:
                await self._send(connection)

    @property
    def _is_ahead(self) -> bool:
        record, most = self.record, self._load.ahead
        return most is not None and record.sent - len(record.answered) >= most

    async def _send(self, connection: ClientConnection) -> None:
        record = self.record
        number = record.sent
        record.sent += 1  # a half-sent message counts: it must arrive
        record.times.append(time.monotonic_ns())
        message = compose(record.client, number, self._load.size())
        await connection.send(message, text=is_text(number))

    async def _receive(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                self._take(str(message))
        self._news.set()

    def _note_close(self, connection: ClientConnection) -> None:
        record = self.record
        record.dropped = connection.close_code is not None
        record.close_code, record.close_reason = (
            connection.close_code,
            connection.close_reason or "",
        )

    def _take(self, answer: str) -> None:
        record = self.record
        if answer == PUSHED:
            return
        match = _ANSWER.fullmatch(answer)
        number = int(match[2]) if match is not None else -1
        if match is None or match[1] != record.client or number >= record.sent:
            record.foreign += 1
            return
        self.answers += 1
        place, backend = match[3], match[4]
        now = time.monotonic()
        if backend != self._connection:
            if self._connection:
                record.pauses.append(now - self._last_answer)
            self.place, self._connection = place, backend
        self._last_answer = now
        if number in record.answered:
            return
        record.answered.add(number)
        record.swapped += number < self._highest
        self._highest = max(self._highest, number)
        self._news.set()


def _trust_everybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refusal_text(error: InvalidStatus) -> str:
    response = error.response
    said = (response.body or b"").decode(errors="replace").strip().partition("\n")[0]
    shown = f" ({said[:_SHOWN]})" if said.isprintable() and said else ""
    return (
        f"a client's handshake was answered with status {response.status_code}{shown}; --header,"
        " --path and --host change the handshake"
    )
