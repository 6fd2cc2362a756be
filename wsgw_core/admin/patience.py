"""Bounds the time and the bytes that a connection may take between two requests."""

from __future__ import annotations

import asyncio
from typing import cast

from ..api import Counter


class PatientProtocol(asyncio.Protocol):
    """Stands before a protocol, and drops its connection when it takes too long.

    Args:
        protocol: what the connection is for.
        seconds: from the connection's beginning, or a request's, to the next request.
        max_bytes: received in that time.
        connections: all of them, by their transport; this one adds and removes itself.
        dropped: counts connections that took too long, or sent too much.
    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        seconds: float,
        max_bytes: int,
        connections: dict[asyncio.BaseTransport, PatientProtocol],
        dropped: Counter,
    ) -> None:
        self._protocol = protocol
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._connections = connections
        self._dropped = dropped
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._received = 0
        self._transport: asyncio.Transport

    def begin(self) -> None:
        """Count from now on: the connection, or a request, has begun."""
        self._received = 0
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._seconds, self._drop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections[transport] = self
        self.begin()
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += len(data)
        if self._received > self._max_bytes:
            self._drop()
        else:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._connections.pop(self._transport, None)
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.connection_lost(exc)

    def _drop(self) -> None:
        self._dropped.value += 1
        self._transport.abort()
