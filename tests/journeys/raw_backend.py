"""A backend that answers with raw bytes of the test, and is a normal echo on other paths."""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from websockets.utils import accept_key

from .accepting import accept_no_more

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """Return a server's frame; `reserved` has the three bits, RSV1 being 4."""
    first = bytes([fin << 7 | reserved << 4 | opcode])
    size = len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    if size < 65536:
        return first + b"\x7e" + struct.pack("!H", size) + payload
    return first + b"\x7f" + struct.pack("!Q", size) + payload


class RawPeer:
    """A gateway's connection whose request was read.

    Attributes:
        head: of the request.
        path: asked for.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = ""
        self.path = ""

    async def read_request(self) -> None:
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.path = self.head.split(" ")[1]

    def header(self, name: str) -> str | None:
        found = re.search(rf"(?im)^{name}: *(.*?)\r$", self.head)
        return found[1] if found else None

    @property
    def accept(self) -> str:
        """The correct answer to the request's key."""
        return accept_key(self.header("Sec-WebSocket-Key") or "")

    def switching(self, *lines: str, leave_out: str = "nothing", version: str = "1.1") -> str:
        """Return a 101 with additional lines, and without the usual line that begins like this."""
        usual = ["Upgrade: websocket", "Connection: Upgrade"]
        usual.append(f"Sec-WebSocket-Accept: {self.accept}")
        kept = [line for line in usual if not line.startswith(leave_out)]
        return "\r\n".join([f"HTTP/{version} 101 Switching Protocols", *kept, *lines, "", ""])

    async def write(self, data: str | bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError  # uvloop would raise a RuntimeError
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)
        await self.writer.drain()

    async def read_frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        return first & 15, bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))

    async def read_message(self) -> bytes:
        """Return the next message; pings are answered before it."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode in (TEXT, BINARY):
                return payload
            if opcode == PING:
                await self.write(frame(PONG, payload))

    async def echo(self) -> None:
        """Echo messages until the gateway closes."""
        await self.write(self.switching())
        opcode = 0
        while opcode != CLOSE:
            opcode, payload = await self.read_frame()
            await self.write(frame(PONG if opcode == PING else opcode, payload))

    async def until_gone(self) -> int:
        """Read until the gateway ends the connection; return its close code, or 1006 without one.

        Only a close is answered.
        """
        opcode, payload = 0, b""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while opcode != CLOSE:
                opcode, payload = await self.read_frame()
            await self.reader.read()
        return int.from_bytes(payload[:2], "big") if opcode == CLOSE else 1006


Act = Callable[[RawPeer], Awaitable[None]]


class RawBackend:
    """Runs `act` on some paths, and an echo on all others.

    Args:
        act: for one connection, which is closed after it.
        paths: where.

    Attributes:
        asked: how often each path was requested.
    """

    port: int

    def __init__(self, act: Act, paths: Iterable[str]) -> None:
        self.asked: Counter[str] = Counter()
        self._act = act
        self._paths = frozenset(paths)
        self.tasks: set[asyncio.Task[None]] = set()

    def entry(self, **options: Any) -> dict[str, Any]:
        """Return an entry for a gateway; sessions do not linger for acknowledgements."""
        eager = {"ack-interval": "1ms", "replay-window": "0s"}
        return {
            "url": self.url,
            **eager,
            **{key.replace("_", "-"): options[key] for key in options},
        }

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start to serve a connection."""
        task = asyncio.get_running_loop().create_task(self._serve(RawPeer(reader, writer)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(
            lambda _: writer.close()
        )  # also when it was cancelled before it began

    async def _serve(self, peer: RawPeer) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await peer.read_request()
                self.asked[peer.path] += 1
                if peer.path in self._paths:
                    await self._act(peer)
                else:
                    await peer.echo()
        finally:
            peer.writer.close()
            with contextlib.suppress(ConnectionError):
                await peer.writer.wait_closed()


@asynccontextmanager
async def raw_backend(act: Act, *paths: str) -> AsyncIterator[RawBackend]:
    """Run one until the end of the block."""
    backend = RawBackend(act, paths)
    server = await asyncio.start_server(backend.connected, "127.0.0.1", 0)
    backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        await accept_no_more(server.sockets)
        server.close()
        for task in tuple(backend.tasks):
            task.cancel()
        await asyncio.gather(*backend.tasks, return_exceptions=True)
