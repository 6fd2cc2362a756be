"""An HTTP request without upgrade: what answers it at all lives."""

from __future__ import annotations

import asyncio
import re
from typing import cast

from websockets.datastructures import Headers
from websockets.headers import build_authorization_basic, build_host
from websockets.http11 import Request
from websockets.uri import WebSocketURI

from wsgw_core.api import BackendUnavailable, tls_error_text

_ANSWER = re.compile(rb"HTTP/\d\.\d \d{3}")
_ENOUGH = len(b"HTTP/1.1 426")


class PlainRequest(asyncio.Protocol):
    """Sends a GET and reads until it knows whether the answer is one of HTTP, whatever its status.

    A websocket server answers every request (RFC 6455 section 4.2.1), and only a process that runs
    can do so: the system of a frozen one accepts connections too. GET, as some servers for
    websockets know no other method.

    Call `abort` in the end.

    Args:
        uri: what to ask for.

    Attributes:
        answer: done with the answer; BackendUnavailable when there was none.
    """

    def __init__(self, uri: WebSocketURI) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._uri = uri
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        self._transport = cast("asyncio.Transport", transport)
        uri = self._uri
        headers = Headers(Host=build_host(uri.host, uri.port, uri.secure), Connection="close")
        headers["User-Agent"] = "wsgw"
        if uri.user_info:
            headers["Authorization"] = build_authorization_basic(*uri.user_info)
        self._transport.write(Request(uri.resource_name, headers).serialize())

    def data_received(self, data: bytes) -> None:
        """Collects the beginning of the answer, as much as is needed."""
        self._head += data[: _ENOUGH - len(self._head)]
        if len(self._head) == _ENOUGH:
            self._end(None if _ANSWER.match(self._head) else "the answer is not one of HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait for an answer, if none has come."""
        self._end(tls_error_text(exc) if exc is not None else "closed without an answer")

    def abort(self) -> None:
        """Drops the connection, if there is one, and ends the wait for the answer."""
        self.answer.cancel()  # after a failure, asyncio then does not log that nobody looked at it
        if self._transport is not None:
            self._transport.abort()

    def _end(self, fault: str | None) -> None:
        if self.answer.done():
            return
        if fault is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(BackendUnavailable(fault))
