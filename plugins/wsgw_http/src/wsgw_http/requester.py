"""Sends requests to one application, by the client library."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from wsgw_core.api import (
    BackendContext,
    BackendError,
    BackendUnavailable,
    ClientTls,
    tls_error_text,
    unavailable,
)

from .addresses import AddressPolicy
from .failures import BadAnswer, Busy, NoAnswer, Unreachable
from .http_metrics import HttpMetrics
from .request_gate import RequestGate
from .settings import HttpSettings

T = TypeVar("T")
Read = Callable[[aiohttp.ClientResponse, asyncio.Timeout], Awaitable[T]]

_LARGE = 1024 * 1024  # bytes that the library would rather not write at once
_OUR_AGENT = {"User-Agent": "wsgw"}


class Requester:
    """Has the connections to one application, which all sessions of the backend share.

    Made on the event loop.

    Args:
        settings, context: the backend's.
        addresses: which may be connected to.
        tls: for URLs that begin with https.
        metrics: of the backend.
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
        self._clock = context.clock
        self._metrics = metrics
        self._gate = RequestGate(settings.max_connections_per_host)
        self._connections: WeakSet[ResponseHandler] = WeakSet()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=addresses,
                use_dns_cache=False,
                limit=settings.max_connections,
                keepalive_timeout=settings.keep_alive,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_OUR_AGENT,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout),
            auto_decompress=False,
        )
        gauge = context.metrics.gauge
        gauge("in_flight", "Requests under way.", lambda: self._gate.under_way)
        gauge("waiting", "Requests that wait for others to end.", lambda: self._gate.waiting)
        gauge("connections", "Connections to the application.", self._count_connections)

    async def ask(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes, read: Read[T]
    ) -> T:
        """Send a request and return what `read` makes of its answer.

        Args:
            method: of the request.
            url: of the request.
            headers: of the request.
            body: of the request.
            read: is given the answer when its headers have come, and the bound of its time. What it
                has not read to its end it must release, unless it raises.

        Raises:
            Failure: the request has failed.
            BackendDeclined: the host may not be connected to.
        """
        began = self._clock.time()
        host = url.raw_authority
        entered = False
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                await self._gate.enter(host)
                entered = True
                response = await self._send(method, url, headers, body)
                try:
                    return await read(response, deadline)
                except BaseException:
                    response.close()
                    raise
        except TimeoutError as error:
            if not entered:
                raise Busy("no connection became free") from error
            raise NoAnswer("the application does not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BadAnswer(f"the answer breaks off: {type(error).__name__}") from error
        finally:
            if entered:
                self._gate.leave(host)
            self._metrics.durations.observe(self._clock.time() - began)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> aiohttp.ClientResponse:
        try:
            response = await self._session.request(
                method,
                url,
                headers=headers,
                data=body if len(body) <= _LARGE else io.BytesIO(body),
                allow_redirects=False,
                ssl=self._tls.context() if self._tls is not None else True,
                server_hostname=self._server_name,
            )
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(tls_error_text(error.os_error)) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreachable("connecting took too long") from error
        except BackendUnavailable as error:  # of the resolver
            raise Unreachable(error.reason) from error
        except aiohttp.ClientResponseError as error:
            raise BadAnswer("the answer is not valid HTTP") from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise NoAnswer("the connection was lost before the answer", lost=True) from error
        except aiohttp.ClientError as error:
            raise BadAnswer(f"the request cannot be made: {type(error).__name__}") from error
        if response.connection is not None and response.connection.protocol is not None:
            self._connections.add(response.connection.protocol)
        return response

    def _count_connections(self) -> int:
        return sum(connection.is_connected() for connection in self._connections)


def as_backend_error(error: Unreachable) -> BackendError:
    """Return what a dial raises that could not reach the application."""
    cause = error.__cause__
    if isinstance(error, Busy):
        return BackendUnavailable(error.reason)  # by what other clients have asked for
    if isinstance(cause, BackendError):
        return cause
    if isinstance(cause, aiohttp.ClientConnectorError):
        return unavailable(error.reason, cause.os_error)
    return unavailable(error.reason, cause or error)
