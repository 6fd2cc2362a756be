"""One websocket backend: dials sessions."""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial

from websockets.uri import WebSocketURI, parse_uri

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    BackendUnreachable,
    ClientTls,
    DialRequest,
    Sink,
    TlsClientOptions,
    run_in_thread,
    tls_error_text,
    unavailable,
)
from wsgw_core.websocket import TlsTransport, make_scratch
from wsgw_core.websocket.session_ends import GATEWAY_STOPPED

from .connection import WebSocketConnection
from .handshake import Answer, ClientHandshake
from .liveness import Liveness
from .pinger import Pinger
from .plain_request import PlainRequest
from .pong_record import PongRecord
from .settings import WebSocketSettings
from .violations import Violations


class WebSocketBackend:
    """Connects each session with a websocket of its own.

    Args:
        settings: the backend's options.
        context: the backend's context.

    Attributes:
        settings, context: see above.
        pinger, pongs, liveness, violations: shared by its connections.
    """

    def __init__(self, settings: WebSocketSettings, context: BackendContext) -> None:
        self.settings = settings
        self.context = context
        self._base = parse_uri(settings.url)
        self._tls: ClientTls | None = None
        self._scratch = make_scratch() if self._base.secure else memoryview(b"")
        self._connections: set[WebSocketConnection] = set()
        self._one_less = asyncio.Event()
        self.violations = Violations(context)
        self.pongs = PongRecord(settings.without_pongs, context)
        self.liveness = Liveness(self.probe, self._connections, context)
        self.pinger = Pinger(
            context.clock, context.logger, settings.ack_interval, settings.ping_time
        )

    async def open(self) -> None:
        """Reads the certificates; it connects only when clients come."""
        if self._base.secure:
            options = self.settings.tls or TlsClientOptions()
            make = partial(ClientTls, options, self._base.host, self.context)
            self._tls = await run_in_thread(make)

    async def connect(self, request: DialRequest, sink: Sink) -> WebSocketConnection:
        """Connects a session; raises BackendUnavailable and BackendDeclined."""
        if self.pongs.refused:
            raise BackendUnavailable("answers no pings")
        handshake, answer = await self._shake_hands(request)
        self.liveness.lived(self.context.clock.time())
        connection = WebSocketConnection(self, handshake, answer, sink)
        self._connections.add(connection)
        return connection

    async def probe(self) -> None:
        """Requests any HTTP answer, without upgrade; raises BackendUnavailable."""
        request = PlainRequest(self._base)
        request.answer.add_done_callback(self._note_answer)
        try:
            async with asyncio.timeout(self.settings.handshake_timeout):
                await self._open(request)
                await request.answer
        except TimeoutError as error:
            raise BackendUnavailable("no answer to an HTTP request") from error
        except OSError as error:
            raise unavailable(tls_error_text(error), error) from error
        finally:
            request.abort()

    async def close(self) -> None:
        """Closes all connections and waits for them; each limits its own closing."""
        for connection in tuple(self._connections):
            connection.close(GATEWAY_STOPPED.backend, "gateway is stopping")
        while self._connections:
            self._one_less.clear()
            await self._one_less.wait()
        self.pinger.close()
        await self.liveness.close()

    def forget(self, connection: WebSocketConnection) -> None:
        """Removes a connection whose transport is gone."""
        self._connections.discard(connection)
        self._one_less.set()

    def _note_answer(self, answer: asyncio.Future[None]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self.liveness.lived(self.context.clock.time())

    async def _shake_hands(self, request: DialRequest) -> tuple[ClientHandshake, Answer]:
        uri = self._target(request.path)
        handshake = ClientHandshake(uri, request, self.settings)
        try:
            async with asyncio.timeout(self.settings.handshake_timeout):
                await self._open(handshake)
                return handshake, await handshake.answer
        except TimeoutError as error:
            kind = BackendUnavailable if handshake.was_asked else BackendUnreachable
            declined = handshake.declined_so_far()
            handshake.abort()
            raise (declined or kind("handshake took too long")) from error
        except OSError as error:
            raise unavailable(tls_error_text(error), error) from error
        except BaseException:
            handshake.abort()
            raise

    async def _open(self, protocol: asyncio.Protocol) -> None:
        """Connects a protocol to the backend."""
        await self.context.resolver.create_connection(
            lambda: self._beneath(protocol), self._base.host, self._base.port
        )

    def _beneath(self, protocol: asyncio.Protocol) -> asyncio.Protocol | TlsTransport:
        """Returns the protocol for the TCP transport: with TLS, a TlsTransport in between."""
        if self._tls is None:
            return protocol
        return TlsTransport(
            protocol,
            self._tls.context(),
            self._scratch,
            self.context.read_batch,
            server_name=self._tls.server_name,
        )

    def _target(self, path: str) -> WebSocketURI:
        # the client's query stays part of the path and is passed on unchanged
        return dataclasses.replace(self._base, path=self._base.path.rstrip("/") + path)
