"""Limits the number of admin connections; a new connection always finds room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from ..api import Counter
from .request_timeout import RequestTimeoutProtocol

AT_ONCE = 1
"""How many connections to accept in a turn: as many as CallTurns serves in one.

So each connection is served before others can take its place.
"""


class Connections:
    """Limits the number of connections.

    When the limit is reached, a new connection replaces an old one. The candidates are the half of
    the connections whose last answer is the longest ago. The first of them that is idle is closed;
    if none is idle, the first one. So a health check never waits for other callers.

    Args:
        most: the limit.
        seconds, max_bytes: see RequestTimeoutProtocol.
        dropped: counts connections that took too long, sent too much, or were replaced.
    """

    def __init__(self, most: int, seconds: float, max_bytes: int, dropped: Counter) -> None:
        self._most = most
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._dropped = dropped
        # in the order of the last answer, oldest first
        self._present: dict[asyncio.BaseTransport, RequestTimeoutProtocol] = {}

    def watched(self, protocol: asyncio.Protocol) -> RequestTimeoutProtocol:
        """Wraps the protocol of a new connection in one that enforces the limits."""
        return RequestTimeoutProtocol(
            protocol, self._seconds, self._max_bytes, self._joined, self._left, self._dropped
        )

    @contextmanager
    def answering(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Marks a connection as busy until its request is answered."""
        connection = self._present.get(transport) if transport is not None else None
        if transport is None or connection is None:  # closed meanwhile
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
