"""One client's opening handshake (RFC 6455 section 4.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from websockets.exceptions import InvalidHandshake, SecurityError
from websockets.headers import parse_subprotocol, parse_upgrade
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from ..api import Handshake, Headers, Limits, ReadBatch, Refusal
from ..relay.session import Session
from ..relay.session_opener import Refused
from ..websocket import CompressionOptions, Deflate, HeadReader, HeadTooLarge
from . import answers
from .client_socket import ClientSocket

if TYPE_CHECKING:
    import logging

    from ..metrics import GatewayCounters
    from ..relay.session_opener import SessionOpener
    from .request_headers import RequestHeaders

_EARLY_BYTES = 64 * 1024  # that a client may send before it is answered
_LINGER = 1.0  # seconds in which a refused client can read its answer


@dataclass(frozen=True, slots=True)
class HandshakeSettings:
    """What all handshakes of a gateway share."""

    opener: SessionOpener
    request_headers: RequestHeaders
    limits: Limits
    compression: CompressionOptions
    max_header_bytes: int
    timeout: float
    read_batch: ReadBatch
    counters: GatewayCounters
    logger: logging.Logger


@dataclass(frozen=True, slots=True)
class _Agreement:
    """What the client's own leg is opened with.

    Attributes:
        accept, extensions: header values of the answer.
        deflate: the compression agreed on.
    """

    accept: str
    extensions: str | None
    deflate: Deflate | None


class ClientHandshake(asyncio.Protocol):
    """Reads the head, has a session opened, and answers; then the websocket takes over.

    The client's answer waits for the backend's. Meanwhile the connection is watched: a client that
    leaves takes its dial with it.

    Args:
        settings: see there.
        register: called with this object or the websocket when it begins, `forget` at its end.
    """

    def __init__(
        self,
        settings: HandshakeSettings,
        register: Callable[[ClientHandshake | ClientSocket], None],
        forget: Callable[[ClientHandshake | ClientSocket], None],
    ) -> None:
        self._settings = settings
        self._register = register
        self._forget = forget
        self._head = HeadReader(settings.max_header_bytes)
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._answered = False
        self._peer = ("", 0)
        self._transport: asyncio.Transport

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head, not for ever."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = (transport.get_extra_info("peername") or self._peer)[:2]
        self._register(self)
        self._timer = self._loop.call_later(self._settings.timeout, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Collect the head."""
        if self._answered:
            return  # what follows a refusal is not read
        try:
            head = self._head.feed(data)
        except HeadTooLarge as error:
            self._refuse(431, str(error))
            return
        if head is None:
            return
        if self._task is None:
            self._timer.cancel()
            self._head_complete(head)
        elif self._head.rest_size > _EARLY_BYTES:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up."""
        self._timer.cancel()
        self._forget(self)
        if self._task is not None:
            self._task.cancel()

    def close(self, code: int, reason: str = "") -> None:
        """Answer 503: the gateway is stopping. The arguments are those of a websocket's close."""
        if not self._answered:
            self._refuse(503, reason)

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    # Steps

    def _head_complete(self, head: bytes) -> None:
        server = ServerProtocol(extensions=self._settings.compression.accepted_offers())
        try:
            request = _parse_head(head)
            if not _asks_for_websocket(request):
                self._refuse(400, "only websocket handshakes are served here")
                return
            if not request.path.startswith("/"):
                self._refuse(400, "the request target must be a path")
                return
            if request.headers.get_all("Sec-WebSocket-Version") != ["13"]:
                self._refuse(
                    426,
                    "only websocket version 13 is spoken here",
                    (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
                )
                return
            accept, extensions, _ = server.process_request(request)
            offers = tuple(
                offer
                for value in request.headers.get_all("Sec-WebSocket-Protocol")
                for offer in parse_subprotocol(value)
            )
        except SecurityError as error:  # the library's own limits of lines
            self._refuse(431, str(error))
            return
        except (InvalidHandshake, ValueError, EOFError, NotImplementedError) as error:
            self._refuse(400, f"not a valid handshake: {error}")
            return
        deflate = self._settings.compression.agreed(server.extensions)
        agreement = _Agreement(accept, extensions, deflate)
        host, port = self._peer
        handshake = Handshake(
            path=request.path,
            headers=self._settings.request_headers.for_backend(
                request.headers.raw_items(), str(host)
            ),
            subprotocols=offers,
            peer=f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}",
        )
        self._task = self._loop.create_task(self._open(handshake, agreement))

    async def _open(self, handshake: Handshake, agreement: _Agreement) -> None:
        try:
            session, headers = await self._settings.opener.open(handshake)
            try:
                self._accept(session, headers, agreement)
            except BaseException:
                session.close(1011, "internal error")
                raise
        except Refused as refused:
            self._answer(refused.refusal)
        except Exception:
            self._settings.logger.exception("client %s: fault in the handshake", handshake.peer)
            if self._answered:
                self._transport.abort()
            else:
                self._refuse(500, "internal error")

    def _accept(self, session: Session, headers: Headers, agreement: _Agreement) -> None:
        """Answer 101, and let the websocket take over the transport."""
        self._task = None
        transport, settings = self._transport, self._settings
        if self._answered or transport.is_closing():
            session.close(1001, "client left")
            return
        self._answered = True
        self._forget(self)
        transport.pause_reading()
        transport.write(
            answers.switching_protocols(
                agreement.accept, session.subprotocol, headers, agreement.extensions
            )
        )
        client = ClientSocket(
            session, self._forget, settings.limits, self._loop, settings.read_batch
        )
        self._register(client)
        client.endpoint.attach(transport, client_side=False, deflate=agreement.deflate)
        client.begin(self._head.rest)

    def _too_slow(self) -> None:
        self._refuse(408, "the handshake took too long")

    def _refuse(self, status: int, text: str, headers: Headers = ()) -> None:
        self._answer(Refusal(status, headers, f"{text}\n".encode()))

    def _answer(self, refusal: Refusal) -> None:
        """Answer and close; what the client still sends is dropped for a while before.

        Closing with unread bytes would reset the connection, and the answer might be lost.
        """
        if self._answered:
            return  # the gateway stopped while the dial was under way
        self._answered = True
        self._settings.counters.handshakes_refused.value += 1
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(answers.refusal(refusal))
        try:
            transport.write_eof()
        except (OSError, NotImplementedError):  # the client has gone already, or TLS
            transport.close()
            return
        self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER, transport.abort)


def _parse_head(head: bytes) -> Request:
    reader = StreamReader()
    reader.feed_data(head)
    try:
        next(Request.parse(reader.read_line))
    except StopIteration as done:
        return cast("Request", done.value)
    raise ValueError("incomplete head")


def _asks_for_websocket(request: Request) -> bool:
    upgrade = [
        name.lower()
        for value in request.headers.get_all("Upgrade")
        for name in parse_upgrade(value)
    ]
    return request.method == "GET" and upgrade == ["websocket"]
