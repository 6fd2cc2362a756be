"""What redis-py does for a connection: HELLO, authentication, database, name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class OpenedConnection(AbstractConnection):
    """A redis-py connection over streams that the gateway opens.

    Like each subclass of AbstractConnection it provides `_connect`, which sets `_reader` and
    `_writer`, and two methods that describe the connection. All else is redis-py's public
    interface. After `connect`, `give_up_streams` hands over the streams, and redis-py's part ends.

    Args:
        open_streams: opens the streams; the caller of `connect` sets a timeout.
        name: the server's, for errors.
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
        """Returns the connected streams, which this object no longer uses."""
        writer = self._writer
        self._reader = self._writer = None
        assert writer is not None  # noqa: S101 - the caller has connected
        return writer
