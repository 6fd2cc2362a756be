"""Two TLS transports, back to back in memory: the test carries the bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import trustme

from wsgw_core.api import Turns
from wsgw_core.websocket import TlsTransport, make_scratch

NAME = "gateway.test"
AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert(NAME)


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    return context


class MemoryTcp(asyncio.Transport):
    """The socket of one end; keeps written bytes until the test carries them over."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.paused = False
        self.half_closed = False
        self.closed = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data
        assert not self.half_closed
        assert not self.is_closing()
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted


class Recorder(asyncio.Protocol):
    """Records its calls."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.received = bytearray()
        self.error: Exception | None = None
        self.transport: asyncio.Transport
        self.pause_after: int | None = None
        self.first: bytes = b""  # written as soon as there is a transport
        self.on_data: Callable[[bytes], object] = self.received.extend

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")
        if self.first:
            transport.write(self.first)

    def data_received(self, data: bytes) -> None:
        assert "lost" not in self.events
        self.on_data(data)
        if self.pause_after is not None and len(self.received) >= self.pause_after:
            self.pause_after = None
            self.transport.pause_reading()

    def eof_received(self) -> None:
        self.events.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.error = exc


class End:
    """One end: protocol, TLS, and the memory that stands for a socket."""

    def __init__(
        self,
        protocol: Recorder,
        context: ssl.SSLContext,
        server_name: str | None = None,
        handshakes: Turns | None = None,
    ) -> None:
        self.protocol = protocol
        self.failures: list[Exception] = []
        self.reads = Turns()
        self.tls = TlsTransport(
            protocol,
            context,
            make_scratch(),
            self.reads,
            server_name=server_name,
            handshakes=handshakes,
            on_failure=self.failures.append,
        )
        self.tcp = MemoryTcp()
        self._ended = False

    def connect(self) -> None:
        self.tls.connection_made(self.tcp)

    def receive(self, data: bytes) -> None:
        """Hands over bytes as a socket would."""
        while data and not self.tcp.is_closing():
            buffer = memoryview(self.tls.get_buffer(-1))
            part = data[: len(buffer)]
            buffer[: len(part)] = part
            self.tls.buffer_updated(len(part))
            data = data[len(part) :]

    def end(self) -> None:
        """Hands over the end of the stream; the socket closes itself on it."""
        self.tls.eof_received()
        self.lose()

    def lose(self, error: Exception | None = None) -> None:
        """Ends the connection of the socket."""
        if not self._ended:
            self._ended = True
            self.tcp.closed = True
            self.tls.connection_lost(error)


class Pair:
    """A client and a server."""

    def __init__(
        self,
        client: Recorder | None = None,
        server: Recorder | None = None,
        *,
        trust: ssl.SSLContext | None = None,
        shown: ssl.SSLContext | None = None,
        name: str = NAME,
        handshakes: Turns | None = None,
    ) -> None:
        self.client = End(client or Recorder(), trust or client_context(), name)
        self.server = End(server or Recorder(), shown or server_context(), handshakes=handshakes)

    def connect(self) -> Pair:
        self.server.connect()
        self.client.connect()
        self.carry()
        return self

    def carry(self) -> None:
        """Carries bytes to and fro until there are none, except those for a paused end."""
        moved = True
        while moved:
            moved = False
            for source, target in ((self.client, self.server), (self.server, self.client)):
                while source.tcp.written and not target.tcp.paused:
                    target.receive(source.tcp.written.pop(0))
                    moved = True
