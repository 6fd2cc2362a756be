"""A websocket backend in this process; the test drives its side of each connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve

from .accepting import accept_no_more
from .reserved_port import ReservedPort


class ScriptedBackend:
    """Accepts connections and hands them to the test.

    Args:
        reserved: where to listen; kept while it is down.
        options: for `websockets.serve`.
    """

    def __init__(self, reserved: ReservedPort, options: dict[str, Any]) -> None:
        self._reserved = reserved
        self._options = options
        self._server: Server | None = None
        self._connections: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.accepted = 0

    @property
    def url(self) -> str:
        host = f"[{self._reserved.host}]" if ":" in self._reserved.host else self._reserved.host
        return f"ws://{host}:{self._reserved.port}"

    @property
    def eager(self) -> dict[str, Any]:
        """An entry for a gateway whose sessions do not linger for acknowledgements."""
        return {"url": self.url, "ack-interval": "1ms", "replay-window": "0s"}

    @property
    def id(self) -> str:
        """The id that a gateway gives it by itself."""
        return f"127-0-0-1-{self._reserved.port}"

    async def up(self) -> Self:
        """Listen."""
        options = {"compression": None, "ping_interval": None, "close_timeout": 5, **self._options}
        self._server = await serve(
            self._serve, self._reserved.host, self._reserved.port, reuse_port=True, **options
        )
        return self

    async def down(self) -> None:
        """Vanish like a killed process: abort all connections and stop listening."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await accept_no_more(server.sockets)
        server.close(close_connections=False)
        for connection in tuple(server.all_connections):  # including connections in their handshake
            connection.transport.abort()
        await server.wait_closed()

    async def connection(self) -> ServerConnection:
        """Return the next connection."""
        return await self._connections.get()

    async def _serve(self, connection: ServerConnection) -> None:
        if self._server is None:
            connection.transport.abort()
            return
        self.accepted += 1
        self._connections.put_nowait(connection)
        await connection.wait_closed()


@asynccontextmanager
async def scripted_backend(host: str, options: dict[str, Any]) -> AsyncIterator[ScriptedBackend]:
    """Run one until the end of the block."""
    with ReservedPort(host) as reserved:
        backend = ScriptedBackend(reserved, options)
        await backend.up()
        try:
            yield backend
        finally:
            await backend.down()
