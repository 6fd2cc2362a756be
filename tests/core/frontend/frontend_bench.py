"""A frontend on the loopback interface with scripted backends, and raw clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from websockets.http11 import Response
from websockets.streams import StreamReader

from wsgw_core.api import HandshakeGate, Headers, Limits, ReadBatch, Turns
from wsgw_core.api.rare_warning import RareWarning
from wsgw_core.config.address import Address
from wsgw_core.frontend.admission import Admission
from wsgw_core.frontend.forwarded import Forwarding
from wsgw_core.frontend.frontend_server import FrontendServer
from wsgw_core.frontend.handshake import HandshakeSettings
from wsgw_core.frontend.request_headers import RequestHeaders
from wsgw_core.frontend.trusted_proxies import TrustedProxies
from wsgw_core.relay.all_sessions.routes import Route, Routes
from wsgw_core.relay.session.session_opener import SessionOpener
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.websocket import CompressionOptions

from ..relay.relay_bench import RelayBench

TIMEOUT = 60.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of this key, by RFC 6455 section 1.3
USUAL = (
    "Host: gateway.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


def request(*lines: str, line: str = "GET /chat HTTP/1.1", without: str = "") -> bytes:
    """Returns an opening handshake with more lines, and without the line of `without`."""
    usual = [each for each in USUAL if not (without and each.lower().startswith(without.lower()))]
    return "\r\n".join([line, *usual, *lines, "", ""]).encode("latin-1")


class RawClient:
    """A TCP connection to the frontend."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_head(self) -> tuple[int, Headers]:
        """Returns status and headers of the answer."""
        async with asyncio.timeout(TIMEOUT):
            head = await self.reader.readuntil(b"\r\n\r\n")
        stream = StreamReader()
        stream.feed_data(head)
        parser = Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof, proxy=True)
        try:
            next(parser)
        except StopIteration as done:
            response: Response = done.value
            return response.status_code, tuple(response.headers.raw_items())
        raise AssertionError(f"an incomplete head: {head!r}")

    async def read_to_end(self) -> bytes:
        """Returns what comes until the end of the connection."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read()

    async def read_refusal(self) -> tuple[int, Headers, bytes]:
        """Returns the whole answer; the connection must end with it."""
        status, headers = await self.read_head()
        body = await self.read_to_end()
        assert "close" in dict(headers)["Connection"].split(", ")
        assert ("Content-Length", str(len(body))) in headers
        return status, headers, body

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.readexactly(count)


class FrontendBench:
    """Use as an asynchronous context.

    Args:
        backends: see RelayBench.
        gates, limits, max_header_bytes, max_header_count, timeout: as a gateway would have them
            configured.
    """

    def __init__(
        self,
        *backends: FakeBackend,
        gates: Sequence[HandshakeGate] = (),
        limits: Limits | None = None,
        max_header_bytes: int = 64 * 1024,
        max_header_count: int = 100,
        timeout: float = TIMEOUT,
    ) -> None:
        self.relay = RelayBench(*backends)
        self.backend = self.relay.blue
        route = Route(None, tuple(gates), self.relay.context)
        self.opener = SessionOpener(
            Routes([route]), self.relay.counters, logging.getLogger("wsgw.test")
        )
        self.settings = HandshakeSettings(
            opener=self.opener,
            admission=Admission(TrustedProxies(), self.relay.counters, self.relay.context.clock),
            origins=(),
            proxies=TrustedProxies(),
            request_headers=RequestHeaders(
                ("X-Secret",),
                "X-Balancer-Reconnect",
                Forwarding(TrustedProxies(), believe_all=True, forwarded=False),
            ),
            limits=limits or Limits(),
            compression=CompressionOptions(),
            max_header_bytes=max_header_bytes,
            max_header_count=max_header_count,
            timeout=timeout,
            read_batch=ReadBatch(),
            turns=Turns(),
            counters=self.relay.counters,
            logger=logging.getLogger("wsgw.test"),
            polling=RareWarning(logging.getLogger("wsgw.test")),
            end_to_end=False,
        )
        self.frontend = FrontendServer(Address("127.0.0.1", 0), self.settings)
        self._clients: list[RawClient] = []

    async def __aenter__(self) -> Self:
        self.frontend.bind()
        self.frontend.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self.relay.table:
            session.close(1001)
        for client in self._clients:
            client.writer.close()
            with contextlib.suppress(OSError):  # reset by the frontend
                await client.writer.wait_closed()
        async with asyncio.timeout(TIMEOUT):
            await self.frontend.close(TIMEOUT)
        assert len(self.relay.table) == 0

    async def connect(self, data: bytes = b"", *, to: tuple[str, int] | None = None) -> RawClient:
        """Connects a client, by default to the frontend, and sends `data`."""
        address = self.frontend.addresses[0]
        host, port = to or (address.host, address.port)
        client = RawClient(*await asyncio.open_connection(host, port))
        self._clients.append(client)
        client.write(data)
        return client

    async def refusal(self, data: bytes) -> tuple[int, Headers, bytes]:
        """Returns the answer to a request that should be refused."""
        return await (await self.connect(data)).read_refusal()
