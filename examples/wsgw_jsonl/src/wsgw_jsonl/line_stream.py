"""JSON objects on a TCP connection, one on each line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from wsgw_core.api import BackendUnavailable, Resolver, unavailable

_ESCAPED = 6  # bytes of JSON that one byte of a message can become: \u0000
_ENVELOPE = 1024  # bytes of a line around its message


class LineStream:
    """Reads and writes lines; each failure raises BackendUnavailable.

    Args:
        reader, writer: the connection's.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(
        cls, resolver: Resolver, host: str, port: int, max_message_size: int
    ) -> LineStream:
        """Connects to a host."""
        limit = _ESCAPED * max_message_size + _ENVELOPE
        try:
            connected = await resolver.connect(host, port)
            return cls(*await asyncio.open_connection(sock=connected, limit=limit))
        except OSError as error:
            raise unavailable(str(error), error) from error

    async def read(self) -> dict[str, Any]:
        """Returns the object of the next line."""
        try:
            line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise BackendUnavailable("the application closed the connection")
            found = json.loads(line)
        except (OSError, ValueError) as error:  # a line that is too long is a ValueError
            raise BackendUnavailable(str(error)) from error
        if not isinstance(found, dict):
            raise BackendUnavailable("a line is not a JSON object")
        return found

    async def write(self, line: dict[str, Any]) -> None:
        """Writes a line; waits while the socket's buffer is full."""
        self._writer.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise BackendUnavailable(str(error)) from error

    async def close(self) -> None:
        """Closes the connection after sending all lines."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError as error:
            raise BackendUnavailable(str(error)) from error

    def abort(self) -> None:
        """Closes the connection at once."""
        self._writer.transport.abort()
