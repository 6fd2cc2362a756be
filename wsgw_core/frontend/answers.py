"""HTTP answers to opening handshakes (RFC 9110, RFC 6455 section 4.2.2)."""

from __future__ import annotations

from http.client import responses

from websockets.datastructures import Headers
from websockets.http11 import Response

from .. import api


def refusal(answer: api.Refusal) -> bytes:
    """Returns the bytes of an answer other than 101; the connection closes after it."""
    headers = Headers()
    for name, value in answer.headers:
        if name.lower() not in ("connection", "content-length", "transfer-encoding"):
            headers[name] = value
    headers["Content-Length"] = str(len(answer.body))
    # a sender of Upgrade names it in Connection, too (RFC 9110 section 7.8)
    headers["Connection"] = "upgrade, close" if "Upgrade" in headers else "close"
    if answer.body and "Content-Type" not in headers:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    phrase = responses.get(answer.status, "Unknown")
    return Response(answer.status, phrase, headers, answer.body).serialize()


def switching_protocols(
    accept: str,
    subprotocol: str | None,
    backend_headers: api.Headers,
    extensions: str | None = None,
) -> bytes:
    """Returns the bytes of the answer that opens the websocket.

    Args:
        accept: the value of `Sec-WebSocket-Accept`.
        subprotocol: the subprotocol, if any.
        backend_headers: the headers of the backend's answer; the gateway's own are ignored.
        extensions: the value of `Sec-WebSocket-Extensions`, if any.
    """
    headers = Headers()
    headers["Upgrade"] = "websocket"
    headers["Connection"] = "Upgrade"
    headers["Sec-WebSocket-Accept"] = accept
    if extensions is not None:
        headers["Sec-WebSocket-Extensions"] = extensions
    if subprotocol is not None:
        headers["Sec-WebSocket-Protocol"] = subprotocol
    for name, value in backend_headers:
        if name.lower() not in _OWN:
            headers[name] = value
    return Response(101, "Switching Protocols", headers).serialize()


_OWN = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "transfer-encoding",
        "upgrade",
    }
)
