"""Checks how any bytes are read as a backend's answer to an opening handshake."""

from __future__ import annotations

import re
from dataclasses import dataclass

from websockets.http11 import Response
from websockets.streams import StreamReader
from websockets.uri import parse_uri
from websockets.utils import accept_key
from wsgw_ws.handshake import Answer, ClientHandshake
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.api import BackendDeclined, BackendUnavailable, DialRequest, Headers, Refusal
from wsgw_core.frontend import answers
from wsgw_core.testing.virtual_clock import idle, run_virtual
from wsgw_core.websocket import CompressionOptions

from .faults import no_faults
from .memory_transport import MemoryTransport
from .pieces import split

MAX_HEAD = 2000
RIGHT_ACCEPT = b"$ACCEPT"  # stands for the only valid value, which no fuzzer can guess
OFFERS = ("chat", "soap")
# headers that the gateway sends itself, whatever a backend sends
_OWN = {
    "upgrade",
    "connection",
    "content-length",
    "transfer-encoding",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
}
_SWITCHING = (
    b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: a, Upgrade\r\n"
    b"Sec-WebSocket-Accept: $ACCEPT\r\n"
)
_COMPRESSING = (
    b"Sec-WebSocket-Extensions: permessage-deflate; "
    b"server_max_window_bits=12; client_max_window_bits=12\r\n"
)
_CHUNKED = b"HTTP/1.0 401 X\r\nTransfer-Encoding: chunked\r\nWWW-Authenticate: Basic\r\n\r\n"
SEEDS = (
    b"\x01\x00" + _SWITCHING + b"Sec-WebSocket-Protocol: soap\r\nSet-Cookie: \xfc\r\n\r\nrest",
    b"\x02\x00" + _SWITCHING + _COMPRESSING + b"\r\n",
    b"\x00\x04HTTP/1.1 403 X\r\nContent-Length: 5\r\nLocation: /\r\n\r\nno way",
    b"\x00\x03HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 302 X\r\n\r\nto the end",
    b"\x00\x00" + _CHUNKED + b"2;x\r\nno\r\n0\r\nTrailer: x\r\n\r\n",
    b"\x00\x00HTTP/1.1 503 X\r\n\r\n",
    b"\x00\x05HTTP/1.1 404\r\nno colon\r\nLocation: /a\r\n\r\nbody",
    b"\x00\x05HTTP/1.1 410 X\r\nX: " + b"x" * MAX_HEAD,
)
_MOST_READ = 100  # lines of a head that the other implementation reads
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True)
class Outcome:
    """The result of reading the bytes.

    Attributes:
        status: 101 for a valid answer, the answer's own if it declines, 0 for anything else.
        headers: the answer's headers.
        body: the body of a declining answer; after a 101, the first bytes of the websocket.
        subprotocol, compressed: what was agreed on.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    subprotocol: str | None = None
    compressed: bool = False


def ours(pieces: list[bytes], *, offering: bool, compressing: bool) -> Outcome:
    """Reads an answer as the plugin for websocket backends does; then the backend hangs up."""

    async def read() -> Outcome:
        request = DialRequest("s1", "/", subprotocols=OFFERS if offering else ())
        settings = WebSocketSettings(
            url="ws://backend.test",
            max_answer_head=MAX_HEAD,
            compression=CompressionOptions(enabled=compressing),
        )
        handshake = ClientHandshake(parse_uri(settings.url), request, settings)
        transport = MemoryTransport(handshake)
        transport.connect()
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", transport.written)
        assert key is not None
        right = accept_key(key[1].decode()).encode()
        for piece in pieces:
            transport.feed(piece.replace(RIGHT_ACCEPT, right))
        await idle()
        if not handshake.answer.done():
            transport.end()
            await idle()
        transport.hang_up()
        try:
            answer = handshake.answer.result()
        except BackendDeclined as declined:
            return Outcome(declined.status, declined.headers, declined.body)
        except BackendUnavailable as unavailable:
            reason = unavailable.reason
        else:
            return _accepted(answer, transport)
        assert len(reason) < 300
        return Outcome(0)

    with no_faults():
        return run_virtual(read())


def _accepted(answer: Answer, transport: MemoryTransport) -> Outcome:
    assert not transport.is_reading(), "reading stays paused until the connection starts"
    fields = tuple(
        (name, value)
        for name, value in answer.headers.raw_items()
        if name.lower() != "sec-websocket-accept"
    )
    return Outcome(
        101,
        fields,
        answer.rest + transport.unread,
        answer.subprotocol,
        answer.deflate is not None,
    )


def check(data: bytes) -> Outcome:
    """Reads it in pieces and in one; checks the answer that the client would get.

    Raises:
        AssertionError: a rule was broken.
    """
    switches, data = data[0] if data else 0, data[1:]
    offering, compressing = bool(switches & 1), bool(switches & 2)
    # the mark is not cut, or it would be none
    pieces = split(data) if RIGHT_ACCEPT not in data else [data[1:]]
    outcome = ours(pieces, offering=offering, compressing=compressing)
    if len(pieces) > 1:
        assert outcome == ours([b"".join(pieces)], offering=offering, compressing=compressing)
    assert outcome.status in (0, 101) or 300 <= outcome.status < 500
    assert outcome.subprotocol is None or (offering and outcome.subprotocol in OFFERS)
    assert compressing or not outcome.compressed
    if outcome.status == 101:
        _is_passed_on(outcome)
    elif outcome.status and len(outcome.headers) < _MOST_READ:
        _declines_the_client(outcome)
    return outcome


def _is_passed_on(outcome: Outcome) -> None:
    """Checks that the client's 101 has those headers, and nothing that they could smuggle in."""
    names = [name.lower() for name, _ in outcome.headers]
    assert {"upgrade", "connection"} <= set(names)
    assert outcome.compressed == ("sec-websocket-extensions" in names)
    answer = answers.switching_protocols("A" * 28, outcome.subprotocol, outcome.headers)
    response, rest = _parse(answer)
    assert not rest
    assert response.status_code == 101
    got = [each for each in response.headers.raw_items() if each[0].lower() not in _OWN]
    assert got == [each for each in outcome.headers if each[0].lower() not in _OWN]


def _declines_the_client(outcome: Outcome) -> None:
    """Checks that the client's refusal has one head and the whole body."""
    answer = answers.refusal(Refusal(outcome.status, outcome.headers, outcome.body))
    response, rest = _parse(answer)
    assert response.status_code == outcome.status
    assert response.headers.get_all("Content-Length") == [str(len(outcome.body))]
    names_upgrade = "Upgrade" in response.headers  # then it has to be named here, too
    connection = "upgrade, close" if names_upgrade else "close"
    assert response.headers.get_all("Connection") == [connection]
    assert "Transfer-Encoding" not in response.headers
    assert rest == outcome.body
    for name, value in outcome.headers:
        assert _FIELD_VALUE.fullmatch(value)
        assert name.lower() in _OWN or value in response.headers.get_all(name)


def _parse(answer: bytes) -> tuple[Response, bytes]:
    reader = StreamReader()
    reader.feed_data(answer)
    parser = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True)
    try:
        next(parser)
    except StopIteration as done:
        return done.value, bytes(reader.buffer)
    raise AssertionError(f"not an answer: {answer!r}")
