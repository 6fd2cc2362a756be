"""The opening handshake as a client (RFC 6455 section 4.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from dataclasses import dataclass
from typing import cast

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Request, Response, read_body
from websockets.streams import StreamReader
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from wsgw_core.api import (
    BackendDeclined,
    BackendUnavailable,
    BackendUnreachable,
    DialRequest,
    UnusableAnswer,
    tls_error_text,
    without_headers,
)
from wsgw_core.websocket import Deflate, HeadReader, HeadTooLarge

from .answer_head import AnswerHead
from .settings import WebSocketSettings

# At level DEBUG the library would log whole heads, with cookies and tokens.
_silent = logging.getLogger("wsgw.ws.handshake")
_silent.disabled = True

_MAX_BODY = 64 * 1024  # bytes of a declining answer
_LISTS = ("Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions")
_MOST_SEPARATORS = 100  # in one list; no backend needs more, and parsing them costs time
_MAX_REASON = 200  # characters; it may repeat what the backend sent


@dataclass(frozen=True, slots=True)
class Answer:
    """The backend's 101 answer.

    Attributes:
        headers: the headers of the answer.
        subprotocol: the backend's choice among the offers, if any.
        deflate: the compression that both sides have agreed on, if any.
        rest: the bytes behind the head.
    """

    headers: Headers
    subprotocol: str | None
    deflate: Deflate | None
    rest: bytes


class ClientHandshake(asyncio.Protocol):
    """Sends the request and reads the answer; then pauses the transport for its next protocol.

    Args:
        uri: the backend's URL with the client's path.
        request: the session's request.
        settings: the backend's options. `max-answer-head` limits the answer's head together with
            those of interim answers.
    """

    def __init__(
        self, uri: WebSocketURI, request: DialRequest, settings: WebSocketSettings
    ) -> None:
        offers = [Subprotocol(name) for name in request.subprotocols]
        self._client = ClientProtocol(
            uri,
            subprotocols=offers or None,
            extensions=settings.compression.offers(),
            logger=_silent,
        )
        self._settings = settings
        self._request = request
        self._room = settings.max_answer_head  # left by interim answers
        self._head = HeadReader(self._room)
        self._declining: _DecliningBody | None = None
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._connected = False
        self.transport: asyncio.Transport

    @property
    def was_asked(self) -> bool:
        """Whether the request was sent; a failure after that may be due to the request."""
        if not self._connected:
            return False
        tls = self.transport.get_extra_info("ssl_object")
        return tls is None or tls.version() is not None  # there is none before its handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        if self.answer.done():  # the dial was given up meanwhile
            cast("asyncio.Transport", transport).abort()
            return
        self.transport = cast("asyncio.Transport", transport)
        self._connected = True
        self._client.send_request(self._asked())
        self.transport.write(b"".join(self._client.data_to_send()))

    def data_received(self, data: bytes) -> None:
        """Collects the answer."""
        if self.answer.done():
            return
        try:
            if self._declining is not None:
                self._finish_declining(data)
            else:
                self._take_head(data)
        except HeadTooLarge:
            most = self._settings.max_answer_head
            too_long = UnusableAnswer(f"answer's head longer than {most} bytes")
            self._fail(self.declined_so_far() or too_long)
        except (InvalidHandshake, ValueError) as error:
            self._fail(UnusableAnswer(f"not a valid answer: {error}"[:_MAX_REASON]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Records the loss, and ends the wait for the answer; it may end a declining one."""
        self.lost = True
        if not self.answer.done():
            why = tls_error_text(exc) if exc is not None else "closed"
            kind = BackendUnavailable if self.was_asked else BackendUnreachable
            lost = kind(f"connection lost in the handshake: {why}")
            self._fail(self.declined_so_far() or lost)

    def declined_so_far(self) -> BackendDeclined | None:
        """Returns the answer if the part that has come declines; only its status is needed."""
        if self._declining is not None:
            return self._declining.at_eof()
        head = AnswerHead.read(self._head.so_far)
        if head is None or not 300 <= head.status < 500:
            return None
        return _DecliningBody(head, self._settings.pass_headers).declined(b"")

    def abort(self) -> None:
        """Drops the connection, if there is one."""
        self.answer.cancel()  # after a failure, asyncio then does not log that nobody looked at it
        if self._connected:
            self._connected = False
            self.transport.abort()
            del self.transport  # uvloop's refers to this object if it was still connecting

    def _asked(self) -> Request:
        """Returns the request; the client's headers do not repeat those of wsgw."""
        request = self._client.connect()
        if self._settings.pass_host and self._request.host:
            ours = request.headers
            request.headers = Headers(Host=self._request.host)
            for name, value in ours.raw_items():
                if name != "Host":
                    request.headers[name] = value
        for name, value in without_headers(self._request.headers, request.headers):
            request.headers[name] = value  # appends, so that repeated headers are kept
        return request

    def _take_head(self, data: bytes) -> None:
        """Takes bytes of heads; interim answers come first (RFC 9110 section 15.2)."""
        while data_of_head := self._head.feed(data):
            head = AnswerHead.read(data_of_head)
            if head is None:
                raise ValueError("no status line of HTTP/1.1")
            if head.status == 101 or head.status >= 200:
                self._head_complete(head)
                return
            data = self._head.rest
            self._room -= len(data_of_head)
            self._head = HeadReader(self._room)

    def _head_complete(self, head: AnswerHead) -> None:
        if head.status == 101:
            self._switch_protocols(head)
        elif 300 <= head.status < 500:
            self._declining = _DecliningBody(head, self._settings.pass_headers)
            self._finish_declining(self._head.rest)
        else:
            kind = BackendUnavailable if head.status >= 500 else UnusableAnswer
            self._fail(kind(f"answered with status {head.status}"))

    def _switch_protocols(self, head: AnswerHead) -> None:
        if head.fault:
            raise ValueError(head.fault)
        if not head.is_http_1_1:
            raise ValueError("switches protocols, but does not speak HTTP/1.1")
        _check_lists(head.headers)
        self._client.process_response(Response(101, "", head.headers))
        self.transport.pause_reading()
        self.answer.set_result(
            Answer(
                head.headers,
                self._client.subprotocol,
                self._settings.compression.agreed(self._client.extensions),
                self._head.rest,
            )
        )

    def _finish_declining(self, data: bytes) -> None:
        assert self._declining is not None  # noqa: S101 - for the type checker
        declined = self._declining.feed(data)
        if declined is not None:
            self._fail(declined)

    def _fail(self, error: Exception) -> None:
        self.answer.set_exception(error)
        self.transport.abort()


class _DecliningBody:
    """Reads the body of a declining answer.

    It omits a body that is too long, and one after a head with faults, whose end is unknown.

    Args:
        head: the head of the answer.
        pass_headers: see BackendDeclined.
    """

    def __init__(self, head: AnswerHead, pass_headers: tuple[str, ...]) -> None:
        self._head = head
        self._pass_headers = pass_headers
        self._reader = StreamReader()
        self._size = 0
        self._parser = cast(
            "Generator[None, None, bytes]",
            read_body(
                head.status,
                head.headers,
                self._reader.read_line,
                self._reader.read_exact,
                self._reader.read_to_eof,
            ),
        )

    def feed(self, data: bytes) -> BackendDeclined | None:
        """Takes bytes; returns the answer once it is complete."""
        self._size += len(data)
        if self._size > _MAX_BODY or self._head.fault:
            return self.declined(b"")
        self._reader.feed_data(data)
        return self._step()

    def at_eof(self) -> BackendDeclined:
        """Returns the answer at the end of the connection."""
        self._reader.feed_eof()
        return self._step() or self.declined(b"")

    def declined(self, body: bytes) -> BackendDeclined:
        """Returns the answer with this body."""
        headers = tuple(self._head.headers.raw_items())
        return BackendDeclined(self._head.status, headers, body, pass_headers=self._pass_headers)

    def _step(self) -> BackendDeclined | None:
        try:
            next(self._parser)
        except StopIteration as done:
            return self.declined(bytes(done.value))
        except Exception:  # noqa: BLE001 - a broken body; only the status is needed
            return self.declined(b"")
        return None


def _check_lists(headers: Headers) -> None:
    for name in _LISTS:
        values = headers.get_all(name)
        if sum(value.count(",") + value.count(";") for value in values) > _MOST_SEPARATORS:
            raise ValueError(f"{name} has too many elements")
