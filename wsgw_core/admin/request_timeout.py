"""Limits the time and the bytes of a connection between two requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from ..api import Counter


class RequestTimeoutProtocol(asyncio.Protocol):
    """Wraps a protocol; drops its connection if the next request takes too long or is too large.

    Args:
        protocol: the wrapped protocol.
        seconds: maximum time from the start of the connection or of a request to the next request.
        max_bytes: maximum bytes received in that time.
        joined, left: called with the transport when the connection opens and when it closes.
        dropped: counts dropped connections.
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
        self._received: int
        self._answering = False
        self._transport: asyncio.Transport

    @property
    def is_idle(self) -> bool:
        """Whether no request is pending and the last answer was sent."""
        return not self._answering and not self._transport.get_write_buffer_size()

    def begin(self) -> None:
        """Marks the start of a request; time and bytes count from now on."""
        self._answering = True
        self._count_anew()

    def end(self) -> None:
        """Marks the end of a request."""
        self._answering = False

    def drop(self) -> None:
        """Closes the connection now."""
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
