"""One web application: dials sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from yarl import URL

from wsgw_core.api import (
    BackendContext,
    BackendDeclined,
    BackendUnavailable,
    ClientTls,
    Close,
    CloseCause,
    CloseCode,
    ConfigurationError,
    DialRequest,
    LingeringBackend,
    SessionTrackingBackend,
    Sink,
    TlsClientOptions,
    WatchedFile,
    run_in_thread,
)

from .addresses import AddressPolicy
from .connection import HttpConnection, Shared
from .delivery import Deliveries
from .disconnect_events import DisconnectEvents
from .event_streams import EventStreams
from .exchange import Response, Target
from .failures import Failure, Unreachable
from .fixed_headers import headers_in
from .http_metrics import HttpMetrics
from .introduction import Introducer, Introduction
from .request_headers import HeaderMaker, Pairs, RequestHeaders
from .requester import Requester, as_backend_error
from .session_record import SessionRecord
from .session_urls import SessionUrls
from .settings import HttpSettings
from .signatures import Signer, keys_in, keys_of

_ANY_HOST = "localhost"  # stands in for a host that a template determines


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A session that the application accepted, and where its disconnect event goes."""

    record: SessionRecord
    disconnect_target: Target | None
    headers: RequestHeaders


class HttpBackend:
    """Serves all sessions with requests to one application.

    Args:
        settings: this backend's options.
        context: what the core provides.
    """

    # made by `open`
    _addresses: AddressPolicy
    _requester: Requester
    _maker: HeaderMaker
    _introducer: Introducer
    _streams: EventStreams
    _disconnects: DisconnectEvents
    _shared: Shared

    def __init__(self, settings: HttpSettings, context: BackendContext) -> None:
        self._settings = settings
        self._context = context
        self._metrics = HttpMetrics(context)
        self._is_open = False
        self._sessions: dict[str, _Accepted] = {}
        self._connections: set[HttpConnection] = set()
        self._one_less = asyncio.Event()
        self._one_ended = asyncio.Event()

    async def open(self) -> None:
        """Reads the files. It makes no connection: the first request does."""
        try:
            tls, fixed, keys = await run_in_thread(self._read_files)
        except ValueError as error:
            raise ConfigurationError(f"backend {self._context.backend_id}: {error}") from error
        self._make_parts(tls, fixed, keys)
        self._is_open = True

    async def connect(self, request: DialRequest, sink: Sink) -> HttpConnection:
        """Sends the connect event.

        Raises:
            BackendDeclined: the application refuses the client, or a URL is not valid.
            BackendUnavailable: see Introducer.introduce.
        """
        settings = self._settings
        subprotocol = settings.subprotocols.choose(request)
        urls = SessionUrls.of(settings, request, subprotocol)
        for host, port in urls.hosts():
            await self._addresses.check(host, port)
        record = SessionRecord.of(request, self._context.clock.time())
        headers = RequestHeaders(self._maker, request, record)
        introduction = Introduction(subprotocol)
        if urls.connect is not None:
            introduction = await self._introducer.introduce(request, urls.connect, headers, record)
            urls = self._urls_of(request, introduction)
        record.accepted(request)
        if record.served_by is None:
            self._shared.take_over(record, introduction.state)
        self._sessions[request.session_id] = _Accepted(record, urls.disconnect, headers)
        connection = HttpConnection(
            self._shared, request, sink, record, urls.message, headers, introduction
        )
        connection.on_over = self._forget
        record.connection_begins()
        self._connections.add(connection)
        return connection

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """See SessionTrackingBackend. Sends the disconnect event after the last message."""
        accepted = self._sessions.pop(session_id)
        self._one_ended.set()
        record, target = accepted.record, accepted.disconnect_target
        if record.served_by is self._shared and target is not None:
            add = self._disconnects.add
            record.end(partial(add, record, target, accepted.headers, close, cause))

    async def probe(self) -> None:
        """Sends the request of a health check; see Backend."""
        url, health = self._settings.url, self._settings.health
        if url.constant_host is None:
            return
        parts = urlsplit(str(url).partition("{")[0])
        target = Target(URL(f"{parts.scheme}://{parts.netloc}{health.path}", encoded=True))
        try:
            head = self._maker.beginning().to(target.host)
            ask = self._requester.ask
            await ask(health.method, target, head, b"", self._check_health)
        except Unreachable as error:
            raise as_backend_error(error) from error
        except Failure as error:
            raise BackendUnavailable(error.reason) from error

    async def linger(self) -> None:
        """Waits for disconnect events of sessions that no other HTTP backend serves."""
        while any(self._owes_disconnect(each) for each in self._sessions.values()):
            self._one_ended.clear()
            await self._one_ended.wait()

    async def close(self) -> None:
        """Waits for closing sessions and for disconnect events, both for a limited time."""
        for connection in tuple(self._connections):
            connection.close(CloseCode.GOING_AWAY, "gateway is stopping")
        while self._connections:
            self._one_less.clear()
            await self._one_less.wait()
        if self._is_open:
            await asyncio.gather(*self._shared.cancelled, return_exceptions=True)
            await self._streams.close()
            await self._disconnects.close(self._context.limits.close_timeout)
            await self._requester.close()

    def _urls_of(self, request: DialRequest, introduction: Introduction) -> SessionUrls:
        """Returns the URLs again, now that the subprotocol is known."""
        try:
            return SessionUrls.of(self._settings, request, introduction.subprotocol)
        except BackendDeclined:
            if introduction.stream is not None:
                introduction.stream.close()
            raise

    def _owes_disconnect(self, accepted: _Accepted) -> bool:
        served_last = accepted.record.served_by is self._shared
        return served_last and accepted.disconnect_target is not None

    def _forget(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._one_less.set()
        connection.record.connection_is_over()

    async def _check_health(self, response: Response, _deadline: asyncio.Timeout) -> None:
        response.release()
        if response.status not in self._settings.health.statuses:
            raise BackendUnavailable(f"answered a health check with status {response.status}")

    def _read_files(
        self,
    ) -> tuple[ClientTls | None, Callable[[], Pairs], Callable[[], tuple[bytes, ...]]]:
        """Returns TLS, the fixed headers and the keys of signatures; runs in a thread."""
        settings, context = self._settings, self._context
        tls = None
        if any(str(url).startswith("https:") for url in settings.urls):
            host = settings.url.constant_host or _ANY_HOST
            tls = ClientTls(settings.tls or TlsClientOptions(), host, context)
        headers = tuple(settings.headers.items())
        more: WatchedFile[Pairs] | None = None
        if settings.headers_file is not None:
            more = WatchedFile(settings.headers_file, headers_in, context)
        keys = keys_of(settings.signing_secrets)
        in_file: WatchedFile[tuple[bytes, ...]] | None = None
        if settings.signing_secrets_file is not None:
            in_file = WatchedFile(settings.signing_secrets_file, keys_in, context)
        return (
            tls,
            lambda: headers if more is None else headers + more.value,
            lambda: keys if in_file is None else in_file.value,
        )

    def _make_parts(
        self,
        tls: ClientTls | None,
        fixed: Callable[[], Pairs],
        keys: Callable[[], tuple[bytes, ...]],
    ) -> None:
        settings, context, metrics = self._settings, self._context, self._metrics
        signed = settings.signing_secrets or settings.signing_secrets_file
        self._maker = HeaderMaker(settings, fixed, Signer(keys) if signed else None)
        self._addresses = AddressPolicy(
            context.resolver, private_is_allowed=settings.private_is_allowed
        )
        self._requester = Requester(settings, context, self._addresses, tls, metrics)
        deliveries = Deliveries(settings, context, self._requester, metrics)
        most = deliveries.max_response
        self._introducer = Introducer(settings, self._requester, self._maker, most, metrics)
        most_streams = settings.max_connections - settings.max_connections_per_host
        self._streams = EventStreams(most_streams, context, most, metrics)
        self._disconnects = DisconnectEvents(settings, context, self._requester, metrics)
        self._shared = Shared(settings, context, deliveries, self._streams, metrics)


def _is_backend(backend: HttpBackend) -> SessionTrackingBackend:
    return backend  # checked by the type checker


def _can_linger(backend: HttpBackend) -> LingeringBackend:
    return backend  # checked by the type checker
