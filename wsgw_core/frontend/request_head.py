"""Reads the head of a client's request (RFC 9112), and checks that it asks for a websocket.

It refuses a request that programs could read in different ways, and repairs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions import Extension, ServerExtensionFactory
from websockets.headers import parse_extension, parse_subprotocol
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from .bad_request import BadRequest
from .request_target import is_host, path_of

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])" % _TOKEN)
_NAME = re.compile(_TOKEN)
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5
_DIGITS = re.compile(r"[0-9]+")
_OPTION = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
_KEY = re.compile(r"[0-9A-Za-z+/]{22}==")  # 16 bytes in base64
# no client needs more, and reading them costs time
_MOST_SEPARATORS = 100  # in one list
_LONGEST_EXTENSIONS = 4096  # characters

_UPGRADE = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request.

    Attributes:
        method: the method as sent; case counts.
        target: the target as sent; visible ASCII.
        headers: the headers; their values are decoded as ISO-8859-1.
    """

    method: str
    target: str
    headers: Headers

    @classmethod
    def parse(cls, head: bytes, max_headers: int) -> RequestHead:
        """Returns the parsed head; ignores one empty line before it.

        Args:
            head: the head with its final empty line.
            max_headers: the maximum number of headers.

        Raises:
            BadRequest: the head is not HTTP/1.1, malformed, or framed so that it can hide requests;
                with status 431 if it has more headers than allowed.
        """
        first, *lines = head.removeprefix(b"\r\n").removesuffix(b"\r\n\r\n").split(b"\r\n")
        match = _REQUEST_LINE.fullmatch(first)
        if match is None:
            raise BadRequest(400, "not an HTTP/1.1 request line")
        if match[3] == b"1.0":  # mostly health checks, which know no upgrade
            raise BadRequest(426, "only HTTP/1.1 is supported", _UPGRADE)
        if match[3] != b"1.1":
            raise BadRequest(505, "only HTTP/1.1 is supported")
        if len(lines) > max_headers:
            raise BadRequest(431, f"more than {max_headers} headers")
        headers = Headers()
        for line in lines:
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise BadRequest(400, "malformed header line")
            headers[name.decode("ascii")] = value.decode("iso-8859-1")
        _check_framing(headers)
        hosts = headers.get_all("Host")
        if len(hosts) != 1 or not is_host(hosts[0]):  # RFC 9112 section 3.2
            raise BadRequest(400, "exactly one valid Host header is required")
        return cls(match[1].decode("ascii"), match[2].decode("ascii"), headers)


@dataclass(frozen=True, slots=True)
class WebSocketRequest:
    """A client's opening handshake (RFC 6455 section 4.2.1).

    Attributes:
        path: the request target in origin form; see `path_of`.
        accept: the value of `Sec-WebSocket-Accept` for the client's key.
        subprotocols: the client's offers, in its order.
        extensions: the accepted extensions.
        extensions_header: the value of `Sec-WebSocket-Extensions` for the answer, if any.
    """

    path: str
    accept: str
    subprotocols: tuple[str, ...]
    extensions: Sequence[Extension]
    extensions_header: str | None

    @classmethod
    def check(
        cls, request: RequestHead, accepted: Sequence[ServerExtensionFactory] | None
    ) -> WebSocketRequest:
        """Returns the opening handshake in a request.

        Args:
            request: the request.
            accepted: the extensions that the gateway accepts.

        Raises:
            BadRequest: the request is not an opening handshake of websocket version 13.
        """
        headers = request.headers
        if request.method != "GET":
            text = "" if request.method == "HEAD" else "only GET is supported"
            raise BadRequest(405, text, (("Allow", "GET"),))
        if headers.get_all("Content-Length") not in ([], ["0"]):
            raise BadRequest(413, "a handshake has no body")
        path = path_of(request.target, headers["Host"])
        if _options(headers, "Upgrade") != ["websocket"]:
            raise BadRequest(426, "only websocket handshakes are accepted", _UPGRADE)
        if "upgrade" not in _options(headers, "Connection"):
            raise BadRequest(400, "the Connection header must contain Upgrade")
        if headers.get_all("Sec-WebSocket-Version") != ["13"]:
            raise BadRequest(426, "only websocket version 13 is supported", _UPGRADE)
        keys = headers.get_all("Sec-WebSocket-Key")
        if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
            raise BadRequest(
                400, "exactly one Sec-WebSocket-Key with 16 bytes in base64 is required"
            )
        if len(headers.get_all("Origin")) > 1:
            raise BadRequest(400, "more than one Origin header")
        extensions_header, extensions = _extensions(headers, accepted)
        subprotocols = _subprotocols(headers)
        return cls(path, accept_key(keys[0]), subprotocols, extensions, extensions_header)


def _check_framing(headers: Headers) -> None:
    """Raises BadRequest for headers that could make programs disagree where the request ends."""
    if "Transfer-Encoding" in headers:
        raise BadRequest(400, "Transfer-Encoding is not supported")
    lengths = headers.get_all("Content-Length")
    if len(lengths) > 1:
        raise BadRequest(400, "more than one Content-Length header")
    if lengths and not _DIGITS.fullmatch(lengths[0]):
        raise BadRequest(400, "malformed Content-Length")


def _values(headers: Headers, name: str) -> Sequence[str]:
    values = headers.get_all(name)
    if sum(value.count(",") + value.count(";") for value in values) > _MOST_SEPARATORS:
        raise BadRequest(400, f"{name} has too many elements")
    return values


def _options(headers: Headers, name: str) -> list[str]:
    """Returns the elements of a list in lower case, without empty ones."""
    options = [
        stripped.lower()
        for value in _values(headers, name)
        for option in value.split(",")
        if (stripped := option.strip(" \t"))
    ]
    if not all(map(_OPTION.fullmatch, options)):
        raise BadRequest(400, f"malformed {name}")
    return options


def _subprotocols(headers: Headers) -> tuple[str, ...]:
    try:
        offers = tuple(
            offer
            for value in _values(headers, "Sec-WebSocket-Protocol")
            for offer in parse_subprotocol(value)
        )
    except InvalidHandshake:
        raise BadRequest(400, "malformed Sec-WebSocket-Protocol") from None
    if len(set(offers)) < len(offers):
        raise BadRequest(400, "a subprotocol is offered twice")
    return offers


def _extensions(
    headers: Headers, accepted: Sequence[ServerExtensionFactory] | None
) -> tuple[str | None, Sequence[Extension]]:
    values = _values(headers, "Sec-WebSocket-Extensions")
    if sum(map(len, values)) > _LONGEST_EXTENSIONS:
        raise BadRequest(400, "Sec-WebSocket-Extensions is too long")
    try:
        for value in values:
            parse_extension(value)  # also when there is nothing to agree to
        return ServerProtocol(extensions=accepted).process_extensions(headers)
    except InvalidHandshake:
        raise BadRequest(400, "malformed Sec-WebSocket-Extensions") from None
