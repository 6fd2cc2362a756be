"""A TCP proxy that can stop forwarding, or drop connections in the middle of a message."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_HALF_A_MESSAGE_AHEAD = 0.005  # seconds for the peer to read it


class TcpProxy:
    """A proxy in front of one backend.

    Attributes:
        target: host and port to forward to.
    """

    def __init__(self) -> None:
        self.target = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._stalled = False
        self._closed = False

    async def listen(self, host: str, port: int) -> None:
        """Starts to listen; raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _End(_Connection(self)), host, port, backlog=1024, reuse_port=True
        )

    def close(self) -> None:
        """Stops listening, and drops all connections."""
        if self._server is not None:
            self._server.close()
        self._closed = True
        self.reset_all()

    def stall(self) -> None:
        """Stops forwarding without closing anything: a black hole."""
        self._stalled = True
        for connection in self._connections:
            connection.stall()

    def flow(self) -> None:
        """Forwards new connections again; drops the stalled ones."""
        self._stalled = False
        self.reset_all()

    def reset_all(self) -> None:
        """Drops all connections with RST."""
        for connection in tuple(self._connections):
            connection.reset()

    def reset_in_mid_message(self) -> None:
        """Drops each connection after half of the data that it forwards next."""
        for connection in self._connections:
            connection.armed = True

    def opened(self, connection: _Connection) -> None:
        """Adds a connection; the connection calls it."""
        self._connections.add(connection)
        if self._closed:  # accepted before
            connection.reset()
        elif self._stalled:
            connection.stall()

    def closed(self, connection: _Connection) -> None:
        """Removes a connection whose ends are both closed; the connection calls it."""
        self._connections.discard(connection)


class _Connection:
    """Two transports; each sends what the other receives."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.armed = False
        self._proxy = proxy
        self._early = b""
        self._stalled = False
        self._over = False
        self._open: set[asyncio.Transport] = set()
        self._outward: asyncio.Transport | None = None
        self._inward: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    def made(self, transport: asyncio.Transport) -> None:
        """Adds a transport: first the gateway's, then the backend's."""
        self._open.add(transport)
        if self._outward is None:
            self._outward = transport
            transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._proxy.opened(self)
            return
        self._inward = transport
        if self._over:
            transport.abort()
            return
        if self._stalled:
            transport.pause_reading()
        else:
            transport.write(self._early)
            self._outward.resume_reading()

    def forward(self, source: asyncio.Transport, data: bytes) -> None:
        """Sends the data of one side to the other."""
        if self._stalled:
            return  # some loops still deliver data after pause_reading
        target = self._other(source)
        if target is None:
            self._early += data  # as above
            return
        if not self.armed:
            target.write(data)
            return
        target.write(data[: max(1, len(data) // 2)])
        self.stall()
        asyncio.get_running_loop().call_later(_HALF_A_MESSAGE_AHEAD, self.reset)

    def set_reading_beyond(self, full: asyncio.Transport, *, reading: bool) -> None:
        """Pauses or resumes reading from the side that feeds a transport with full buffers."""
        source = self._other(full)
        if source is None or source.is_closing() or self._stalled:
            return
        if reading:
            source.resume_reading()
        else:
            source.pause_reading()

    def stall(self) -> None:
        """Stops reading from both sides."""
        self._stalled = True
        for transport in (self._outward, self._inward):
            if transport is not None and not transport.is_closing():
                transport.pause_reading()

    def reset(self) -> None:
        """Drops both sides with RST, and what they have not sent yet."""
        for transport in self._open:
            stream: socket.socket = transport.get_extra_info("socket")
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            transport.abort()
        self._end()

    def lost(self, transport: asyncio.Transport) -> None:
        """Closes the other side after one has ended."""
        self._open.discard(transport)
        if not self._open:
            self._proxy.closed(self)
        self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._connecting is not None:
            self._connecting.cancel()
        for transport in self._open:
            transport.close()  # buffered data is still sent, unless there is a reset

    def _other(self, transport: asyncio.Transport) -> asyncio.Transport | None:
        return self._inward if transport is self._outward else self._outward

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: _End(self), *self._proxy.target
            )
        except OSError:
            self.reset()


class _End(asyncio.Protocol):
    """One side of a connection."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connection.made(self._transport)

    def data_received(self, data: bytes) -> None:
        self._connection.forward(self._transport, data)

    def pause_writing(self) -> None:
        self._connection.set_reading_beyond(self._transport, reading=False)

    def resume_writing(self) -> None:
        self._connection.set_reading_beyond(self._transport, reading=True)

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.lost(self._transport)
