"""Takes websocket requests over from an aiohttp application, with their connections."""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from .frontend_server import FrontendServer

_UPGRADE = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13"}


class HandedOver(web.StreamResponse):
    """An answer that writes nothing, because the gateway answers the client."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Writes nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes nothing."""


def take_over(request: web.Request, frontend: FrontendServer) -> web.StreamResponse:
    """Passes the client of a request to a gateway; aiohttp forgets the connection.

    The gateway does its own handshake, as if the client had connected to it.

    Args:
        request: a request that its handler has neither read nor answered.
        frontend: the frontend of a started gateway.

    Returns:
        The response for the handler to return.
    """
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        text = "only websocket handshakes are accepted\n"
        return web.Response(status=426, text=text, headers=_UPGRADE)
    protocol, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        return web.Response(status=400, text="the client disconnected\n")  # for the access log
    behind = _BehindTheHead()
    protocol.set_parser(cast("Any", behind))
    # aiohttp closes the transport of a connection that it forgets, so take the transport away
    protocol.transport = None
    protocol.connection_lost(None)
    frontend.take_over(transport, _head(request) + behind.data)
    return HandedOver()


class _BehindTheHead:
    """Collects the bytes behind the head, in place of a websocket's parser."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Does nothing; aiohttp calls it when it forgets the connection."""


def _head(request: web.Request) -> bytes:
    """Returns the head as the client sent it, except for spaces around values."""
    version = request.version
    first = f"{request.method} {request.raw_path} HTTP/{version.major}.{version.minor}"
    lines = [first.encode("utf-8", "surrogateescape")]
    lines += [name + b": " + value for name, value in request.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
