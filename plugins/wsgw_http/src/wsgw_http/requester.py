"""Sends requests to one application with aiohttp."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from wsgw_core.api import (
    BackendContext,
    BackendError,
    BackendUnavailable,
    ClientTls,
    tls_error_text,
    unavailable,
)

from .addresses import AddressPolicy
from .answer_protocol import AnswerProtocol
from .exchange import Response, Target, exchange
from .failures import BadAnswer, Busy, NoAnswer, Unreachable
from .http_metrics import HttpMetrics
from .request_limiter import RequestLimiter
from .settings import HttpSettings

T = TypeVar("T")
Head = bytes | Callable[[], bytes]
Read = Callable[[Response, asyncio.Timeout], Awaitable[T]]

_MOST_KEYS = 1000  # hosts, which clients may choose


class Requester:
    """The connections to one application, which all sessions of the backend share.

    Create it on the event loop.

    Args:
        settings, context: the backend's.
        addresses: resolves names to allowed addresses.
        tls: for https URLs.
        metrics: the backend's.
    """

    def __init__(
        self,
        settings: HttpSettings,
        context: BackendContext,
        addresses: AddressPolicy,
        tls: ClientTls | None,
        metrics: HttpMetrics,
    ) -> None:
        self._timeout = settings.request_timeout
        self._tls = tls
        constant_host = all(url.constant_host is not None for url in settings.urls)
        self._server_name = tls.server_name if tls is not None and constant_host else None
        self._context = context
        self._clock = context.clock
        self._metrics = metrics
        self._limiter = RequestLimiter(settings.max_connections_per_host)
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._loop = asyncio.get_running_loop()
        self._keys: dict[tuple[str, ssl.SSLContext | None], aiohttp.ClientRequest] = {}
        self._limits = aiohttp.ClientTimeout(sock_connect=settings.connect_timeout)
        self._connector = aiohttp.TCPConnector(
            resolver=addresses,
            use_dns_cache=False,
            limit=settings.max_connections,
            keepalive_timeout=settings.keep_alive,
            socket_factory=self._make_socket,
        )
        # aiohttp has no public way to limit what its connections queue: it takes any number of
        # heads before a middleware, a tracer or a parser's limit sees one. A test fails if aiohttp
        # no longer makes its connections with this factory.
        protocol: type[ResponseHandler] = AnswerProtocol
        self._connector._factory = partial(protocol, loop=self._loop)  # noqa: SLF001 - see above
        gauge = context.metrics.gauge
        gauge("in_flight", "Requests in flight.", lambda: self._limiter.in_flight)
        gauge(
            "waiting",
            "Requests that wait for `max-connections-per-host`.",
            lambda: self._limiter.waiting,
        )
        gauge("connections", "Connections to the application.", self._count_connections)

    async def ask(self, method: str, target: Target, head: Head, body: bytes, read: Read[T]) -> T:
        """Sends a request and returns what `read` makes of its answer.

        Args:
            method: of the request.
            target: the URL.
            head: the header lines; see RequestHeaders. Or a function that makes them, called just
                before wsgw writes the request: until then the application cannot have seen it.
            body: of the request.
            read: gets the answer, whose headers have arrived, and the timeout. It must read the
                answer to its end, release it, or raise.

        Raises:
            Failure: the request failed.
            BackendDeclined: wsgw may not connect to the host.
        """
        began = self._clock.time()
        places, connected = None, False
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                places = await self._limiter.enter(target.host)
                connection = await self._connect(target)
                connected = True
                lines = head if isinstance(head, bytes) else head()
                request = b"%s%s%s\r\n%s" % (method.encode(), target.line, lines, body)
                response = await exchange(
                    connection, request, self._context, is_head=method == "HEAD"
                )
                try:
                    return await read(response, deadline)
                except BaseException:
                    response.close()
                    raise
        except TimeoutError as error:
            if places is None:
                raise Busy("no connection became free in time; see 'max-connections'") from error
            if not connected:
                raise Unreachable("connecting took too long") from error
            raise NoAnswer("the application did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BadAnswer(f"the answer breaks off: {type(error).__name__}") from error
        finally:
            if places is not None:
                self._limiter.leave(places)
            self._metrics.durations.observe(self._clock.time() - began)

    async def close(self) -> None:
        """Closes all connections."""
        await self._connector.close()

    async def _connect(self, target: Target) -> Connection:
        try:
            return await self._connector.connect(self._key(target), [], self._limits)
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(tls_error_text(_cause(error))) from error
        except TimeoutError as error:
            raise Unreachable("connecting took too long") from error
        except BackendUnavailable as error:  # from the resolver
            raise Unreachable(error.reason) from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"no connection can be made: {type(error).__name__}") from error

    def _key(self, target: Target) -> aiohttp.ClientRequest:
        """Returns the object that identifies a host in aiohttp's connection pool."""
        context: ssl.SSLContext | None = None
        if self._tls is not None and target.url.scheme == "https":
            context = self._tls.context()
        found = self._keys.get((target.host, context))
        if found is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            found = self._keys[target.host, context] = aiohttp.ClientRequest(
                "POST",
                target.url.origin(),
                loop=self._loop,
                ssl=context or True,
                server_hostname=self._server_name if context is not None else None,
            )
        return found

    def _make_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # for silent event streams
        self._sockets.add(made)
        return made

    def _count_connections(self) -> int:
        return sum(each.fileno() >= 0 for each in self._sockets)


def _cause(error: aiohttp.ClientConnectorError) -> Exception:
    """Returns the error that aiohttp has wrapped."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    return error.os_error


def as_backend_error(error: Unreachable) -> BackendError:
    """Returns the error of a dial that did not reach the application."""
    cause = error.__cause__
    if isinstance(error, Busy):
        return BackendUnavailable(error.reason)  # not a failure of the backend
    if isinstance(cause, BackendError):
        return cause
    if isinstance(cause, aiohttp.ClientConnectorError):
        return unavailable(error.reason, _cause(cause))
    return unavailable(error.reason, cause or error)
