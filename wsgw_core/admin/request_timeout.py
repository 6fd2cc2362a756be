"""Bounds the time and the bytes that a connection may take between two requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from ..api import Counter


class RequestTimeoutProtocol(asyncio.Protocol):
    """Stands before a protocol, and drops its connection when it takes too long.

    Args:
        protocol: what the connection is for.
        seconds: from the connection's beginning, or a request's, to the next request.
        max_bytes: received in that time.
        joined, left: told of the transport, when there is a connection and when there is none.
        dropped: counts connections that were dropped.
    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        seconds: float,
        max_bytes: int,
        joined: Callable[[asyncio.BaseTransport, RequestTimeoutProtocol], None],
        left: Callable[[asyncio.BaseTransport], None],
        dropped: Counter,
    ) -> None:
        self._protocol = protocol
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._joined = joined
        self._left = left
        self._dropped = dropped
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._received = 0
        self._answering = False
        self._transport: asyncio.Transport

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked, and the last answer was given."""
        return not self._answering and not self._transport.get_write_buffer_size()

    def begin(self) -> None:
        """Note that a request has come, and count from now on."""
        self._answering = True
        self._count_anew()

    def end(self) -> None:
        """Note that it is answered."""
        self._answering = False

    def drop(self) -> None:
        """Close the connection now."""
        self._dropped.value += 1
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._count_anew()
        self._protocol.connection_made(transport)
        self._joined(transport, self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += len(data)
        if self._received > self._max_bytes:
            self.drop()
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
        self._left(self._transport)
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.connection_lost(exc)

    def _count_anew(self) -> None:
        self._received = 0
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._seconds, self.drop)
