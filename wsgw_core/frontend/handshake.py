"""One client's opening handshake (RFC 6455 section 4.2)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ..api import CloseCause, Handshake, Headers, Limits, ReadBatch, Refusal, Turns
from ..api.rare_warning import RareWarning
from ..cancellation import is_cancelled
from ..config.patterns import OriginPattern
from ..metrics.counters import GatewayCounters
from ..relay.session.session import Session
from ..relay.session.session_opener import Refused, SessionOpener
from ..websocket import CompressionOptions, HeadReader, HeadTooLarge, StrayByte, session_ends
from . import answers
from .admission import Admission
from .allowed_origins import is_origin_allowed
from .bad_request import BadRequest
from .client_socket import ClientSocket
from .forwarded import Peer
from .polling_clients import note_polling
from .request_head import RequestHead, WebSocketRequest
from .request_headers import RequestHeaders
from .server_tls import client_subject
from .trusted_proxies import TrustedProxies

_EARLY_BYTES = 64 * 1024  # maximum from a client before it is answered
_COPIES = 4  # of a head until the client is answered: as bytes, as text, for the backend
_LINGER = 1.0  # seconds for a refused client to read its answer


@dataclass(frozen=True, slots=True)
class HandshakeSettings:
    """The settings of all handshakes of a gateway.

    Attributes:
        origins: the allowed ones; without any, all are allowed.
        turns: the turns in which heads are processed, so that many at once do not delay others.
        polling: logs clients that ask for long polling.
    """

    opener: SessionOpener
    admission: Admission
    origins: tuple[OriginPattern, ...]
    proxies: TrustedProxies
    request_headers: RequestHeaders
    limits: Limits
    compression: CompressionOptions
    max_header_bytes: int
    max_header_count: int
    timeout: float
    read_batch: ReadBatch
    turns: Turns
    counters: GatewayCounters
    logger: logging.Logger
    polling: RareWarning
    end_to_end: bool


class ClientHandshake(asyncio.Protocol):
    """Reads the head, opens a session, and answers; then the websocket takes over.

    The client's answer waits for the backend's. If the client leaves meanwhile, its dial is
    cancelled.

    Args:
        settings: the settings of all handshakes.
        register: called with this object, and with the websocket, at their beginnings.
        forget: called with each of them at its end.
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
        self._head = HeadReader(settings.max_header_bytes, strict=True)
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._answered = False
        self._received = 0
        self._peer = ("", 0)
        self._transport: asyncio.Transport

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the head, up to the handshake timeout."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):  # else the client of an embedding program has a Unix socket
            self._peer = peer[:2]
        self._ticket = self._settings.admission.arrive(self._peer[0])
        self._register(self)
        refusal = self._ticket.refusal
        if refusal is None:
            self._timer = self._loop.call_later(self._settings.timeout, self._too_slow)
        else:
            # some clients ignore an answer that comes before their request
            self._timer = self._loop.call_later(_LINGER, self._not_admitted, refusal)
            if self._ticket.dropped:
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collects the head."""
        if self._answered:
            return  # ignore what follows a refusal
        if self._ticket.refusal is not None:
            self._not_admitted(self._ticket.refusal)
            return
        self._received += len(data)
        self._ticket.take_memory(_COPIES * self._received)
        try:
            head = self._head.feed(data)
        except HeadTooLarge as error:
            self._settings.counters.heads_too_large.value += 1
            self._refuse(431, str(error))
            return
        except StrayByte as error:
            self._settings.counters.handshakes_malformed.value += 1
            self._refuse(400, str(error))
            return
        if head is None:
            return
        if not self._asked:
            self._asked = True
            self._settings.turns.call_in_turn(self._loop, self._take_head)
        elif self._head.rest_size > _EARLY_BYTES:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the handshake, and cancels its dial."""
        self._timer.cancel()
        if not (self._answered or self._ticket.dropped):
            self._settings.counters.handshakes_abandoned.value += 1
        self._ticket.give_back()
        self._forget(self)
        if self._task is not None:
            task, self._task = self._task, None  # the traceback of its end refers to this object
            task.cancel()

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.GATEWAY_STOPS
    ) -> None:
        """Answers 503, because the gateway stops. The arguments are those of ClientSocket.close."""
        if not self._answered:
            self._refuse(503, reason, (("Retry-After", "1"),))

    def abort(self) -> None:
        """Drops the connection."""
        self._transport.abort()

    # Steps

    def _take_head(self) -> None:
        """Processes the head, unless the client is gone or was answered meanwhile."""
        head, settings = self._head.head, self._settings
        if head is None or self._answered or self._transport.is_closing():
            return
        try:
            request = RequestHead.parse(head, settings.max_header_count)
            asked = WebSocketRequest.check(request, settings.compression.accepted_offers())
        except BadRequest as error:
            if error.status == 431:
                settings.counters.headers_too_many.value += 1
            else:
                settings.counters.handshakes_malformed.value += 1
            if error.status == 426:
                note_polling(head, self._peer[0], settings.polling)
            self._refuse(error.status, error.text, error.headers)
            return
        forwarded_for = request.headers.get_all("X-Forwarded-For")
        address = settings.proxies.client_address(self._peer[0], forwarded_for)
        refusal = self._ticket.of_client(address)
        if refusal is not None:
            self._not_admitted(refusal)
            return
        if not is_origin_allowed(request.headers.get("Origin"), settings.origins):
            settings.counters.origins_refused.value += 1
            self._refuse(403, "origin not allowed")
            return
        handshake = Handshake(
            path=asked.path,
            headers=self._for_backend(request),
            subprotocols=asked.subprotocols,
            peer=self._client(address),
            host=request.headers["Host"],
        )
        self._timer.cancel()
        self._task = self._loop.create_task(self._open(handshake, request, asked))

    def _for_backend(self, request: RequestHead) -> Headers:
        encrypted = self._transport.get_extra_info("ssl_object") is not None
        peer = Peer(
            self._peer[0],
            "https" if encrypted else "http",
            request.headers["Host"],
            client_subject(self._transport),
        )
        return self._settings.request_headers.for_backend(request.headers.raw_items(), peer)

    def _client(self, address: str) -> str:
        """Returns the peer as `host:port`, or the address that a trusted proxy reports."""
        host, port = self._peer
        if address != self._settings.proxies.client_address(host, ()):
            return address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _open(
        self, handshake: Handshake, request: RequestHead, asked: WebSocketRequest
    ) -> None:
        try:
            session, headers = await self._settings.opener.open(handshake, request.headers)
            try:
                self._accept(session, headers, asked)
            except BaseException:
                session.close(session_ends.INTERNAL_ERROR.client, "internal error")
                raise
        except Refused as refused:
            self._answer(refused.refusal)
        except (Exception, asyncio.CancelledError):
            if is_cancelled():  # the client is gone
                raise
            self._settings.logger.exception(
                "client %s: internal error in the handshake", handshake.peer
            )
            if self._answered:
                self._transport.abort()
            else:
                self._refuse(500, "internal error")

    def _accept(self, session: Session, headers: Headers, asked: WebSocketRequest) -> None:
        """Answers 101, and passes the transport to the websocket."""
        self._task = None
        transport, settings = self._transport, self._settings
        if self._answered or transport.is_closing():
            session.close(
                session_ends.CLIENT_LOST.backend, "client left", cause=CloseCause.CLIENT_LEFT
            )
            return
        self._answered = True
        self._ticket.take_memory(0)
        self._forget(self)
        transport.pause_reading()
        transport.write(
            answers.switching_protocols(
                asked.accept, session.subprotocol, headers, asked.extensions_header
            )
        )
        client = ClientSocket(
            session,
            self._forget,
            self._ticket,
            settings.limits,
            self._loop,
            settings.read_batch,
            end_to_end=settings.end_to_end,
        )
        self._register(client)
        deflate = settings.compression.agreed(asked.extensions)
        client.endpoint.attach(transport, client_side=False, deflate=deflate)
        client.begin(self._head.rest)

    def _not_admitted(self, refusal: Refusal) -> None:
        if self._ticket.dropped:
            self._transport.abort()
        else:
            self._answer(refusal)

    def _too_slow(self) -> None:
        self._settings.counters.handshakes_too_slow.value += 1
        self._refuse(408, "the handshake took too long")

    def _refuse(self, status: int, text: str, headers: Headers = ()) -> None:
        self._settings.logger.debug(
            "client %s: refused with status %d: %s", self._peer[0], status, text
        )
        self._answer(Refusal(status, headers, f"{text}\n".encode() if text else b""))

    def _answer(self, refusal: Refusal) -> None:
        """Answers, and closes after a while, in which it drops what the client sends.

        Closing at once, with unread bytes, would reset the connection, and the client might lose
        the answer.
        """
        if self._answered:
            return  # the gateway stopped during the dial
        self._answered = True
        self._timer.cancel()
        self._settings.counters.handshakes_refused.value += 1
        self._settings.counters.refusals[refusal.status] += 1
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(answers.refusal(refusal))
        if not transport.is_reading():
            transport.resume_reading()
        if transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client is gone already
                transport.write_eof()
        else:  # the event loop's own TLS, of a client that was handed over
            transport.close()
        self._timer = self._loop.call_later(_LINGER, transport.abort)
