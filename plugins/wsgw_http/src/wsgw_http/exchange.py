"""One request and its answer on a connection of the client library.

The library's pool, its protocol and its parser are used; its request and response objects are not,
since they cost several times as much as the rest of a message's way.
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
_MOST_CHUNKS = 256  # of a body that are parsed at a time: each takes long, however small
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


class Target:
    """Where requests go: what each of them begins with.

    Args:
        url: absolute, and encoded.

    Attributes:
        url: see above.
        host: of the URL, with its port.
        line: the request line without the method.

    Raises:
        BackendDeclined: with 400; it cannot stand in a request.
    """

    __slots__ = ("host", "line", "url")

    def __init__(self, url: URL) -> None:
        self.url = url
        self.host = url.host_port_subcomponent or ""
        if _TARGET.fullmatch(url.raw_path_qs) is None or not self.host.isascii():
            raise BackendDeclined(400, _TEXT, b"the URL is not valid\n")
        self.line = f" {url.raw_path_qs} HTTP/1.1\r\n".encode()


class Response:
    """An answer whose head has come.

    Args:
        message: the head.
        content: has the body, as it comes.
        connection: in use until the body is complete.
        context: of the backend.

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
        content.set_read_chunk_size(_READ_AHEAD)  # leaves the bound of chunks
        self._connection = connection
        content.on_eof(connection.release)

    @property
    def content_length(self) -> int | None:
        """The length that the head tells."""
        length = self.headers.get("Content-Length")
        return int(length) if length is not None and length.isdecimal() else None

    def release(self) -> None:
        """Give up the body; the connection stays open if that has come as a whole."""
        self._connection.release()

    def close(self) -> None:
        """Give up the body, and the connection if that is in use."""
        self._connection.close()


async def exchange(
    connection: Connection, request: bytes, context: BackendContext, *, is_head: bool = False
) -> Response:
    """Send a request and return the head of its answer.

    Args:
        connection: of the library's pool; given back with the body's end, or closed.
        request: as it is sent.
        context: of the backend.
        is_head: whether its answer has no body.

    Raises:
        Unreachable: the connection was lost before the request was written.
        NoAnswer: it was lost before the answer.
        BadAnswer: that is not valid HTTP.
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
            read_bufsize=16 * _MOST_CHUNKS,  # how the library counts them
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
                raise BadAnswer("the application switches protocols")
        raise BadAnswer("it begins with too many answers of status 1xx")
    except HttpProcessingError as error:
        raise BadAnswer("the answer is not valid HTTP") from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise NoAnswer("the connection was lost before the answer", lost=True) from error
