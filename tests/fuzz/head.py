"""Checks how any bytes are read as the head of a request, against other implementations."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from websockets.http11 import Request
from websockets.streams import StreamReader

from wsgw_core.frontend.bad_request import BadRequest
from wsgw_core.frontend.request_head import RequestHead, WebSocketRequest
from wsgw_core.websocket import CompressionOptions, HeadReader, HeadTooLarge, StrayByte

from .pieces import split

MAX_SIZE, MAX_HEADERS = 2000, 20
STATUSES = {101, 400, 405, 413, 426, 431, 505}
_GOOD = (
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
_OFFERING = (
    b'Sec-WebSocket-Extensions: permessage-deflate; c="d", x; y=z\r\n'
    b"Sec-WebSocket-Protocol: a, b\r\nOrigin: null\r\nContent-Length: 0\r\nX-A: \xfc\r\n\r\nrest"
)
_BAD = b"POST /a/%2e/..;x?c#d HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n"
SEEDS = (
    b"\x00" + _GOOD + b"\r\n",
    b"\x00" + _GOOD + _OFFERING,
    b"\x07" + _BAD,
    b"\x01\r\nGET http://a/ HTTP/1.0\r\nContent-Length: 5\r\nX: a\r\n b\r\n\r\n",
    b"\x02" + _GOOD.replace(b"/a?b", b"ws://a:80?b") + b"\r\n",
    b"\x01PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
_OFFERS = CompressionOptions(enabled=True).accepted_offers()


@dataclass(frozen=True)
class Outcome:
    """The result of reading the bytes.

    Attributes:
        status: that of the answer: 101 for a valid handshake, 0 while the head is incomplete.
        head, rest: the bytes before and after the end of the head.
    """

    status: int
    head: bytes = b""
    rest: bytes = b""


def ours(pieces: list[bytes]) -> tuple[Outcome, RequestHead | None]:
    """Reads a handshake as the frontend does."""
    reader, head = HeadReader(MAX_SIZE, strict=True), None
    try:
        for piece in pieces:
            head = reader.feed(piece)
            assert reader.rest_size <= sum(map(len, pieces))
    except HeadTooLarge:
        return Outcome(431), None
    except StrayByte:
        return Outcome(400), None
    if head is None:
        return Outcome(0), None
    request, status, text = None, 101, ""
    try:
        request = RequestHead.parse(head, MAX_HEADERS)
        asked = WebSocketRequest.check(request, _OFFERS)
        assert len(asked.accept) == 28
        assert all(offer.isascii() and offer.isprintable() for offer in asked.subprotocols)
    except BadRequest as error:
        status, text = error.status, error.text
    assert status in STATUSES
    assert len(text) < 100
    assert text.isprintable()
    return Outcome(status, head, reader.rest), request


def check(data: bytes) -> Outcome:
    """Reads it in pieces, in one, and with others; returns the result.

    Raises:
        AssertionError: they differ, or a rule was broken.
    """
    pieces = split(data)
    whole = b"".join(pieces)
    outcome, request = ours(pieces)
    at_once, _ = ours([whole])
    if outcome != at_once:  # the pieces decide which of two faults is found first
        assert {outcome.status, at_once.status} <= {400, 431}
    if outcome.head:
        assert outcome.head + outcome.rest == whole
        assert outcome.head.count(b"\r\n\r\n") == 1
    if request is not None:
        _is_read_alike(outcome.head, request)
    return outcome


def _is_read_alike(head: bytes, request: RequestHead) -> None:
    """Checks that others read the same from what is well-formed for us."""
    fields = list(request.headers.raw_items())
    head = head.removeprefix(b"\r\n")
    if request.headers.get("Content-Length", "0") == "0":
        reader = StreamReader()
        reader.feed_data(head)
        try:
            next(Request.parse(reader.read_line))
        except StopIteration as done:
            other: Request = done.value
        assert (other.method, other.path) == (request.method, request.target)
        assert list(other.headers.raw_items()) == fields
    if "Content-Length" in request.headers or request.method != "GET":
        return  # llhttp knows only the registered methods, and wants targets that fit them
    parser = HttpRequestParser(None, None, 2**16)
    try:
        (message, _), *others = parser.feed_data(head)[0]
    except HttpProcessingError:
        # llhttp is stricter about the headers that it interprets
        assert not request.target.startswith("/") or "Upgrade" in request.headers
        return
    assert not others
    assert (message.method, message.path) == (request.method, request.target)
    assert [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in message.raw_headers
    ] == fields
