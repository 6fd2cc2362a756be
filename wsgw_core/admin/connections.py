"""The admin side's connections: so many at a time, and the newest always among them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from ..api import Counter
from .request_timeout import RequestTimeoutProtocol

AT_ONCE = 1
"""How many to accept in a turn: as many as are heard in one, see CallTurns.

So each is heard before others can take its place.
"""


class Connections:
    """Bounds how many there are.

    A new one always finds room. Of the half that has been there for longest since its last answer,
    the first on which nothing is asked makes it, or the first at all, on which hardly anybody reads
    or writes any more. So whoever asks whether the gateway lives need not wait for others.

    Args:
        most: how many there may be.
        seconds, max_bytes: see RequestTimeoutProtocol.
        dropped: counts connections that took too long, sent too much, or made room.
    """

    def __init__(self, most: int, seconds: float, max_bytes: int, dropped: Counter) -> None:
        self._most = most
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._dropped = dropped
        # the one whose last answer is the longest ago first
        self._present: dict[asyncio.BaseTransport, RequestTimeoutProtocol] = {}

    def watched(self, protocol: asyncio.Protocol) -> RequestTimeoutProtocol:
        """Return what stands before the protocol of a new connection."""
        return RequestTimeoutProtocol(
            protocol, self._seconds, self._max_bytes, self._joined, self._left, self._dropped
        )

    @contextmanager
    def answering(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Note that a request has come on a connection, and at the end that it is answered."""
        connection = self._present.get(transport) if transport is not None else None
        if transport is None or connection is None:  # it has gone meanwhile
            yield
            return
        connection.begin()
        try:
            yield
        finally:
            connection.end()
            if self._present.pop(transport, None) is not None:
                self._present[transport] = connection

    def _joined(self, transport: asyncio.BaseTransport, connection: RequestTimeoutProtocol) -> None:
        if len(self._present) >= self._most:
            older = list(self._present)[: (self._most + 1) // 2]
            longest = next((one for one in older if self._present[one].is_idle), older[0])
            self._present.pop(longest).drop()
        self._present[transport] = connection

    def _left(self, transport: asyncio.BaseTransport) -> None:
        self._present.pop(transport, None)
