"""A server that answers opening handshakes with the bytes a test chooses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import dataclasses
import hashlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.utils import apply_mask
from wsgw_ws.backend import WebSocketBackend
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.api import DialRequest, Limits, Metrics
from wsgw_core.testing.context import make_context
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection

TIMEOUT = 60.0
_SO_ATTACH_FILTER = 26  # not in the module
_BPF_RETURN = 6
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawPeer:
    """A connection whose request has been read.

    Attributes:
        request_line, headers: those of the request; header names are in lower case.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request_line = ""
        self.headers: list[tuple[str, str]] = []

    async def read_request(self) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.request_line, *lines = head.rstrip("\r\n").split("\r\n")
        for line in lines:
            name, _, value = line.partition(":")
            self.headers.append((name.strip().lower(), value.strip()))

    def header(self, name: str) -> str:
        return ", ".join(value for other, value in self.headers if other == name)

    @property
    def is_plain(self) -> bool:
        """Returns whether the request asks for no upgrade, like a liveness check."""
        return not self.header("upgrade")

    @property
    def accept(self) -> str:
        """Returns the only valid `Sec-WebSocket-Accept` for the request's key."""
        key = self.header("sec-websocket-key").encode()
        digest = hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode()

    def write(self, data: bytes | str) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)

    def switch_protocols(
        self, *lines: str, connection: str = "Upgrade", version: str = "1.1"
    ) -> None:
        """Answers 101 with these additional header lines."""
        self.write(
            "\r\n".join(
                [
                    f"HTTP/{version} 101 Switching Protocols",
                    "Upgrade: websocket",
                    f"Connection: {connection}",
                    f"Sec-WebSocket-Accept: {self.accept}",
                    *lines,
                    "",
                    "",
                ]
            )
        )

    async def read_frame(self) -> tuple[int, bytes]:
        """Returns the opcode and payload of the next frame; each is masked and unfragmented."""
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        assert first & 128
        assert second & 128
        return first & 15, apply_mask(data, mask)

    def write_frame(self, opcode: int, payload: bytes = b"") -> None:
        assert len(payload) < 126
        self.write(bytes([128 | opcode, len(payload)]) + payload)


Act = Callable[[RawPeer], Awaitable[None]]


class RawServer:
    """Runs `act` for each connection that asks for an upgrade.

    Attributes:
        peers: connections that have sent a request for an upgrade.
        plain_peers: connections that have sent another request, such as liveness checks.
        plain: the answer to plain requests; None: none, as from a frozen process.
        ends_plain: whether to close a plain connection after the answer.
        act_plain: handles plain requests instead.
        port: the port that the server listens on.
    """

    port: int

    def __init__(self, act: Act) -> None:
        self.peers: list[RawPeer] = []
        self.plain: str | bytes | None = "HTTP/1.1 426 Upgrade Required\r\n\r\n"
        self.plain_peers: list[RawPeer] = []
        self.ends_plain = False
        self.act_plain: Act = self._answer_plain
        self._act = act
        self._metrics = Metrics()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(reader, writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await peer.read_request()
                if peer.is_plain:
                    self.plain_peers.append(peer)
                    await self.act_plain(peer)
                else:
                    self.peers.append(peer)
                    await self._act(peer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_plain(self, peer: RawPeer) -> None:
        if self.plain is not None:
            peer.write(self.plain)
        if not self.ends_plain:
            await peer.reader.read()

    def backend(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        limits: Limits | None = None,
        ping_timeout: float = 60.0,
        busy_timeout: float = 600.0,
    ) -> WebSocketBackend:
        """Makes a backend that dials this server."""
        settings = WebSocketSettings.model_validate(
            {"url": f"ws://127.0.0.1:{self.port}", **(options or {})}
        )
        limits = limits or Limits(close_timeout=0.02)  # most peers do not answer a close
        context = make_context(limits=limits, ping_timeout=ping_timeout, busy_timeout=busy_timeout)
        return WebSocketBackend(settings, dataclasses.replace(context, metrics=self._metrics))

    def counted(self, name: str) -> int:
        """Returns this counter's value over all backends."""
        return self._metrics.counter(name, "").value


def cut_off(peer: RawPeer) -> None:
    """Makes the system drop incoming packets, like a network that has forgotten the connection."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    with socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


@asynccontextmanager
async def raw_server(
    act: Act, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Runs a server and cancels its remaining tasks at the end.

    Args:
        act: see RawServer.
        receive_buffer: size of the server's receive buffer in bytes; None: the system's default.
        tls: the server's TLS; None: it speaks plain TCP.
    """
    raw = RawServer(act)
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.add(asyncio.get_running_loop().create_task(raw.serve(reader, writer)))

    listening = socket.create_server(("127.0.0.1", 0))
    if receive_buffer is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    server = await asyncio.start_server(connected, sock=listening, ssl=tls)
    raw.port = listening.getsockname()[1]
    try:
        async with asyncio.timeout(TIMEOUT):
            yield raw
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()  # a task may have been cancelled while it waited for the end
        await asyncio.sleep(0)


async def dial(
    backend: WebSocketBackend, request: DialRequest | None = None, *, start: bool = True
) -> tuple[WatchedConnection, RecordingSink]:
    """Connects, and starts the connection unless `start` is false."""
    sink = RecordingSink()
    connection = sink.watch(await backend.connect(request or DialRequest("s1", "/chat"), sink))
    if start:
        connection.start()
    return connection, sink
