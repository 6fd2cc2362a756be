"""What redis-py does for a connection: greeting, authentication, database, name, their errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class OpenedConnection(AbstractConnection):
    """A connection of redis-py over streams that the gateway opens.

    A subclass of AbstractConnection provides `_connect`, which sets `_reader` and `_writer`, and
    two methods that describe it. Everything else in here is redis-py's public interface. After
    `connect`, `give_up_streams` hands the streams over and ends redis-py's part.

    Args:
        open_streams: opens them; bounded by the caller of `connect`.
        name: of the server, for errors.
        **options: of AbstractConnection.
    """

    def __init__(
        self, *, open_streams: Callable[[], Awaitable[Streams]], name: str, **options: Any
    ) -> None:
        self._open_streams = open_streams
        self._name = name
        super().__init__(**options)

    async def _connect(self) -> None:
        self._reader, self._writer = await self._open_streams()

    def _host_error(self) -> str:
        return self._name

    def repr_pieces(self) -> list[tuple[str, str]]:
        """See AbstractConnection."""
        return [("name", self._name)]

    def give_up_streams(self) -> asyncio.StreamWriter:
        """Returns the connected stream, which this object no longer uses."""
        writer = self._writer
        self._reader = self._writer = None
        assert writer is not None  # noqa: S101 - it is connected
        return writer
