"""The opening handshake as a client (RFC 6455 section 4.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from dataclasses import dataclass
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Response, read_body
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
)
from wsgw_core.websocket import CompressionOptions, Deflate, HeadReader, HeadTooLarge

# The library would log whole heads, with cookies and tokens, where everything is logged.
_silent = logging.getLogger("wsgw.ws.handshake")
_silent.disabled = True

_MAX_BODY = 64 * 1024  # of an answer that declines
_LISTS = ("Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions")
_MOST_SEPARATORS = 100  # in one list: no backend needs as many, and parsing them costs time
_MAX_REASON = 200  # characters; it may repeat what the backend sent


@dataclass(frozen=True, slots=True)
class Answer:
    """The backend said 101.

    Attributes:
        response: its head.
        subprotocol: its choice among the offers.
        deflate: the compression agreed on.
        rest: bytes that came behind the head.
    """

    response: Response
    subprotocol: str | None
    deflate: Deflate | None
    rest: bytes


class ClientHandshake(asyncio.Protocol):
    """Sends the request and reads the answer; then the transport is paused for its next owner.

    Args:
        uri: where to.
        request: the session's wish.
        max_head: bound of the answer's head in bytes, together with those of interim answers.
        compression: what is offered.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        request: DialRequest,
        max_head: int,
        compression: CompressionOptions,
    ) -> None:
        offers = [Subprotocol(name) for name in request.subprotocols]
        self._client = ClientProtocol(
            uri, subprotocols=offers or None, extensions=compression.offers(), logger=_silent
        )
        self._compression = compression
        self._request = request
        self._max_head = max_head
        self._room = max_head  # that interim answers have left
        self._head = HeadReader(max_head)
        self._declining: _DecliningBody | None = None
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._connected = False
        self.transport: asyncio.Transport

    @property
    def was_asked(self) -> bool:
        """Whether the backend has been sent the request, after which anything may be its doing."""
        if not self._connected:
            return False
        tls = self.transport.get_extra_info("ssl_object")
        return tls is None or tls.version() is not None  # there is none before its handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        if self.answer.done():  # it was given up meanwhile
            cast("asyncio.Transport", transport).abort()
            return
        self.transport = cast("asyncio.Transport", transport)
        self._connected = True
        request = self._client.connect()
        for name, value in self._request.headers:
            request.headers[name] = value  # appends: several values of one name are kept
        self._client.send_request(request)
        self.transport.write(b"".join(self._client.data_to_send()))

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        if self.answer.done():
            return
        try:
            if self._declining is not None:
                self._finish_declining(data)
            else:
                self._take_head(data)
        except HeadTooLarge:
            self._fail(UnusableAnswer(f"answer's head longer than {self._max_head} bytes"))
        except (InvalidHandshake, ValueError, EOFError, NotImplementedError) as error:
            self._fail(UnusableAnswer(f"not a valid answer: {error}"[:_MAX_REASON]))

    def eof_received(self) -> None:
        """The answer is complete, or the backend is gone."""
        if self._declining is not None and not self.answer.done():
            self._fail(self._declining.at_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note, for whoever is waiting and for whoever takes over."""
        self.lost = True
        if not self.answer.done():
            why = tls_error_text(exc) if exc is not None else "closed"
            kind = BackendUnavailable if self.was_asked else BackendUnreachable
            self._fail(kind(f"connection lost in the handshake: {why}"))

    def abort(self) -> None:
        """Drop the connection, if there is one."""
        if not self.answer.cancel() and not self.answer.cancelled():
            self.answer.exception()  # or asyncio complains that nobody has asked for it
        if self._connected:
            self._connected = False
            self.transport.abort()
            del self.transport  # uvloop keeps us in it, if it was still about to connect

    def _take_head(self, data: bytes) -> None:
        """Take bytes of a head, or of several: interim answers come first (RFC 9110, 15.2)."""
        while head := self._head.feed(data):
            response = _parse_head(head)
            if response.status_code == 101 or response.status_code >= 200:
                self._head_complete(response)
                return
            data = self._head.rest
            self._room -= len(head)
            self._head = HeadReader(self._room)

    def _head_complete(self, response: Response) -> None:
        if response.status_code == 101:
            _check_lists(response)
            self._client.process_response(response)
            self.transport.pause_reading()
            self.answer.set_result(
                Answer(
                    response,
                    self._client.subprotocol,
                    self._compression.agreed(self._client.extensions),
                    self._head.rest,
                )
            )
        elif 300 <= response.status_code < 500:
            self._declining = _DecliningBody(response)
            self._finish_declining(self._head.rest)
        else:
            kind = BackendUnavailable if 500 <= response.status_code < 600 else UnusableAnswer
            self._fail(kind(f"answered with status {response.status_code}"))

    def _finish_declining(self, data: bytes) -> None:
        assert self._declining is not None  # noqa: S101 - for the type checker
        declined = self._declining.feed(data)
        if declined is not None:
            self._fail(declined)

    def _fail(self, error: Exception) -> None:
        self.answer.set_exception(error)
        self.transport.abort()


class _DecliningBody:
    """Reads the body of an answer that declines; a longer one than bounded is left out."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._reader = StreamReader()
        self._size = 0
        self._parser = cast(
            "Generator[None, None, bytes]",
            read_body(
                response.status_code,
                response.headers,
                self._reader.read_line,
                self._reader.read_exact,
                self._reader.read_to_eof,
            ),
        )

    def feed(self, data: bytes) -> BackendDeclined | None:
        """Take bytes; return the whole answer once it is there."""
        self._size += len(data)
        if self._size > _MAX_BODY:
            return self._declined(b"")
        self._reader.feed_data(data)
        return self._step()

    def at_eof(self) -> BackendDeclined:
        """Return the answer, whose end was the connection's."""
        self._reader.feed_eof()
        return self._step() or self._declined(b"")

    def _step(self) -> BackendDeclined | None:
        try:
            next(self._parser)
        except StopIteration as done:
            return self._declined(bytes(done.value))
        except Exception:  # noqa: BLE001 - a broken body: the status is what counts
            return self._declined(b"")
        return None

    def _declined(self, body: bytes) -> BackendDeclined:
        headers = tuple(self._response.headers.raw_items())
        return BackendDeclined(self._response.status_code, headers, body)


def _check_lists(response: Response) -> None:
    for name in _LISTS:
        values = response.headers.get_all(name)
        if sum(value.count(",") + value.count(";") for value in values) > _MOST_SEPARATORS:
            raise ValueError(f"{name} has too many elements")


def _parse_head(head: bytes) -> Response:
    """Read a head; raises ValueError, EOFError and InvalidHandshake."""
    reader = StreamReader()
    reader.feed_data(head)
    # `proxy` is the library's word for: there is a head and no body
    parser = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True)
    try:
        next(parser)
    except StopIteration as done:
        response = cast("Response", done.value)
    else:
        raise ValueError("incomplete head")
    if response.status_code == 101 and not head.startswith(b"HTTP/1.1 "):
        raise ValueError("switches protocols, but does not speak HTTP/1.1")
    return response
