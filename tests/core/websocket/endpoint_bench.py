"""An Endpoint on a loopback connection whose other end is raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from wsgw_core.api import Clock, Close, Limits, Message, ReadBatch
from wsgw_core.testing.watch import Watch
from wsgw_core.websocket import Deflate, Endpoint

from .raw_frames import RawFrame, read_frame

TIMEOUT = 60.0


class Events:
    """Records the events and the messages of an endpoint."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ends: list[tuple[Close, bool]] = []
        self.disconnects = 0
        self.writability: list[bool] = []
        self.pongs: list[bytes] = []
        self.signs_of_life = 0
        self.wakes = 0
        self._watch = Watch(TIMEOUT)

    def deliver(self, message: Message) -> None:
        assert not self.ends, "a message after the end"
        self.messages.append(message)
        self._watch.changed()

    def ended(self, close: Close, *, violation: bool) -> None:
        assert not self.disconnects, "the end is told before the transport is gone"
        self.ends.append((close, violation))
        self._watch.changed()

    def disconnected(self) -> None:
        self.disconnects += 1
        self._watch.changed()

    def writable(self, writable: bool, /) -> None:
        self.writability.append(writable)
        self._watch.changed()

    def heard(self) -> None:
        self.signs_of_life += 1
        self._watch.changed()

    def pong_received(self, payload: bytes, /) -> None:
        self.pongs.append(payload)
        self._watch.changed()

    def woken(self) -> None:
        self.wakes += 1

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        await self._watch.until(condition, lambda: what)

    async def until_messages(self, count: int) -> list[Message]:
        await self.until(lambda: len(self.messages) >= count, f"{count} messages")
        return self.messages

    async def until_ended(self) -> tuple[Close, bool]:
        """Waits for the loss of the transport; returns the end, and whether it was a violation."""
        await self.until(lambda: bool(self.disconnects), "the end")
        assert len(self.ends) == self.disconnects == 1
        return self.ends[0]


class Bench:
    """One endpoint and its raw peer.

    Attributes:
        endpoint, events, batch: what is tested.
        reader, writer: the peer's.
        transport: ours, beneath the endpoint.
        masked: whether the peer's frames must be masked.
    """

    endpoint: Endpoint
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(
        self,
        limits: Limits,
        batch: ReadBatch,
        deflate: Deflate | None,
        clock: Clock | None,
        *,
        client_side: bool,
    ) -> None:
        self.events = Events()
        self.batch = batch
        self.masked = not client_side
        self._limits = limits
        self._clock = clock
        self._deflate = deflate
        self._client_side = client_side
        self.peer: socket.socket
        self.transport: asyncio.Transport

    async def connect(self, send_buffer: int | None) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = await connected_pair(send_buffer)
        self.peer = theirs
        self.endpoint = Endpoint(self.events, self._limits, self._clock or loop, self.batch)
        self.endpoint.deliver = self.events.deliver
        self.transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        self.transport.pause_reading()
        self.endpoint.attach(self.transport, client_side=self._client_side, deflate=self._deflate)
        self.reader, self.writer = await asyncio.open_connection(sock=theirs, limit=2**20)

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_frame(self) -> RawFrame:
        async with asyncio.timeout(TIMEOUT):
            frame = await read_frame(self.reader)
        assert frame.masked == self._client_side
        assert frame.reserved == 0 or self._deflate is not None
        return frame

    async def read_to_end(self) -> bytes:
        """Returns what comes until the endpoint's side is closed."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read()

    def reset(self) -> None:
        """Breaks the connection as a killed process with unread bytes would."""
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def connected_pair(send_buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Connects two sockets over the loopback interface; the first has the small send buffer."""
    loop = asyncio.get_running_loop()
    ours = socket.socket()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        if send_buffer is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, send_buffer)
        ours.setblocking(False)
        await loop.sock_connect(ours, server.getsockname())
        theirs, _ = await loop.sock_accept(server)
    theirs.setblocking(False)
    return ours, theirs


@asynccontextmanager
async def endpoint_bench(
    *,
    client_side: bool = False,
    limits: Limits | None = None,
    batch: ReadBatch | None = None,
    send_buffer: int | None = None,
    first_bytes: bytes | None = b"",
    deflate: Deflate | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Bench]:
    """Connects an endpoint and begins to read, unless `first_bytes` is None."""
    bench = Bench(limits or Limits(), batch or ReadBatch(), deflate, clock, client_side=client_side)
    await bench.connect(send_buffer)
    if first_bytes is not None:
        bench.endpoint.begin(first_bytes)
    try:
        yield bench
    finally:
        if not bench.events.disconnects:
            bench.endpoint.abort()
        bench.writer.close()
        with contextlib.suppress(OSError):
            await bench.writer.wait_closed()
        await bench.events.until_ended()
        assert not bench.batch.is_open, "all connections of a gateway share it"
