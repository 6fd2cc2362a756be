"""One request and its answer on a connection of aiohttp.

wsgw uses aiohttp's connection pool, protocol and parser. It does not use its request and response
objects, which cost several times as much as all other steps of a message.
"""

from __future__ import annotations

import re

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from wsgw_core.api import BackendContext, BackendDeclined

from .answer_protocol import MAX_HEADS
from .failures import BadAnswer, NoAnswer, Unreachable

_TARGET = re.compile(r"[\x21-\x7e]+")
_READ_AHEAD = 64 * 1024  # bytes of a body
_MOST_CHUNKS = 256  # of a body to parse at a time; even an empty chunk costs time


class Target:
    """The URL of requests, and the parts of a request that follow from it.

    Args:
        url: absolute and percent-encoded.

    Attributes:
        url: see above.
        host: host and port of the URL.
        line: the request line without the method.

    Raises:
        BackendDeclined: with 400; the URL cannot be sent in a request line.
    """

    __slots__ = ("host", "line", "url")

    def __init__(self, url: URL) -> None:
        self.url = url
        self.host = url.host_port_subcomponent or ""
        if _TARGET.fullmatch(url.raw_path_qs) is None or not self.host.isascii():
            raise BackendDeclined.with_text(400, "the URL is not valid")
        self.line = f" {url.raw_path_qs} HTTP/1.1\r\n".encode()


class Response:
    """An answer whose head has arrived.

    Args:
        message: the head.
        content: the body, as it arrives.
        connection: in use until the body is complete.
        context: the backend's.

    Attributes:
        status, headers, raw_headers: of the head.
        content, context: see above.
    """

    __slots__ = ("_connection", "content", "context", "headers", "raw_headers", "status")

    def __init__(
        self,
        message: RawResponseMessage,
        content: aiohttp.StreamReader,
        connection: Connection,
        context: BackendContext,
    ) -> None:
        self.status: int = message.code
        self.headers: CIMultiDictProxy[str] = message.headers
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.content = content
        self.context = context
        content.set_read_chunk_size(_READ_AHEAD)  # does not change the limit of chunks
        self._connection = connection
        content.on_eof(connection.release)

    @property
    def content_length(self) -> int | None:
        """The bytes of the body according to the head; None: not known."""
        length = self.headers.get("Content-Length")
        return int(length) if length is not None and length.isdecimal() else None

    def release(self) -> None:
        """Drops the body; the connection stays open if the body is complete."""
        self._connection.release()

    def close(self) -> None:
        """Drops the body, and closes the connection unless it is already released."""
        self._connection.close()


async def exchange(
    connection: Connection, request: bytes, context: BackendContext, *, is_head: bool = False
) -> Response:
    """Sends a request and returns the head of its answer.

    Args:
        connection: of aiohttp's pool; released at the end of the body, or closed.
        request: the bytes to send.
        context: the backend's.
        is_head: whether the method is HEAD, whose answer has no body.

    Raises:
        Unreachable: the connection was lost before wsgw wrote the request.
        NoAnswer: the connection was lost before the answer.
        BadAnswer: the answer is not valid HTTP.
    """
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        connection.close()
        raise Unreachable("the connection was lost before the request", lost=True)
    try:
        protocol.set_response_params(
            skip_payload=is_head,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=16 * _MOST_CHUNKS,  # how aiohttp counts chunks
        )
        transport.write(request)
        message, content = await _head(protocol)
        return Response(message, content, connection, context)
    except BaseException:
        connection.close()
        raise


async def _head(protocol: ResponseHandler) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    try:
        for _ in range(MAX_HEADS):
            message, content = await protocol.read()
            if not 100 <= message.code < 200:
                return message, content
            if message.code == 101:
                raise BadAnswer("the application answered with 101; it must not switch protocols")
        raise BadAnswer(f"more than {MAX_HEADS - 1} answers of status 1xx")
    except HttpProcessingError as error:
        raise BadAnswer("the answer is not valid HTTP") from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise NoAnswer("the connection was lost before the answer", lost=True) from error
