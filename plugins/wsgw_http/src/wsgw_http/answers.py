"""Reads answers: their kind, and their bodies up to a limit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache

from wsgw_core.api import BINARY, TEXT, Close, CloseCode, Message

from .body_reader import BodyReader
from .content_decoding import Decoder
from .exchange import Response
from .failures import BadAnswer

_EMPTY = frozenset({202, 204, 205})
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s"';]*)""", re.IGNORECASE)
_CODECS = {
    "utf-8": None,
    "utf8": None,
    "us-ascii": None,
    "ascii": None,
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_MAX_REASON = 123  # bytes of a close frame, RFC 6455 section 5.5.1


class AnswerKind(Enum):
    """How the body of an answer is read."""

    TEXT = "one text message"
    BINARY = "one binary message"
    LINES = "one text message for each line"
    EVENTS = "an event stream"
    UNSUPPORTED = "not supported"


@lru_cache(maxsize=256)
def answer_kind(content_type: str) -> AnswerKind:
    """Returns the kind of answer for a Content-Type."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/event-stream":
        return AnswerKind.EVENTS
    if media_type == "application/x-ndjson":
        return AnswerKind.LINES
    if media_type.startswith("multipart/"):
        return AnswerKind.UNSUPPORTED
    if media_type.startswith("text/") or media_type.endswith(("/json", "+json", "/xml", "+xml")):
        return AnswerKind.TEXT
    return AnswerKind.BINARY


@lru_cache(maxsize=256)
def codec_in(content_type: str) -> str | None:
    """Returns Python's name for the charset of a Content-Type; None: UTF-8.

    Raises:
        BadAnswer: the charset is not supported.
    """
    found = _CHARSET.search(content_type)
    if found is None:
        return None
    charset = found[1].lower()
    if charset not in _CODECS:
        raise BadAnswer("its charset is not one of UTF-8, ISO-8859-1, Windows-1252, UTF-16")
    return _CODECS[charset]


def is_empty(response: Response) -> bool:
    """Returns whether an answer has no body, according to its status or its length."""
    return response.status in _EMPTY or response.content_length == 0


async def body_of(response: Response, limit: int) -> bytes:
    """Returns the whole body of an answer, decoded.

    Raises:
        BadAnswer: the body is longer than `limit` bytes, or cannot be decoded.
    """
    if (response.content_length or 0) > limit:
        raise too_large(limit)
    content = response.content
    if content.is_eof() and "Content-Encoding" not in response.headers:
        found_now = content.read_nowait()
        if len(found_now) > limit:
            raise too_large(limit)
        return found_now
    found = bytearray()
    async for piece in pieces_of(response):
        found += piece
        if len(found) > limit:
            raise too_large(limit)
    return bytes(found)


async def pieces_of(response: Response) -> AsyncIterator[bytes]:
    """Yields the decoded body of an answer as it arrives."""
    decoder = Decoder(response.headers.get("Content-Encoding", ""))
    reader = BodyReader(response.content, response.context)
    while not response.content.at_eof():
        data = await reader.read()
        if not decoder.is_needed:
            yield data
        else:
            for piece in decoder.pieces(data):
                if piece:
                    yield piece
    if decoder.is_needed:
        decoder.finish()


def message_of(kind: AnswerKind, body: bytes, codec: str | None, limit: int) -> Message:
    """Returns the message for the body of an answer.

    Args:
        kind: TEXT or BINARY.
        body: the decoded content.
        codec: see codec_in.
        limit: maximum bytes of a message.

    Raises:
        BadAnswer: a text is not in its charset, or is longer than the limit as UTF-8.
    """
    if kind is not AnswerKind.TEXT:
        return Message(BINARY, body)
    if codec is not None:
        try:
            body = body.decode(codec).encode()
        except UnicodeError as error:
            raise BadAnswer("it is not in the charset that it names") from error
        if len(body) > limit:
            raise too_large(limit)
    return text_message(body)


def text_message(body: bytes) -> Message:
    """Returns a text message for some UTF-8.

    Raises:
        BadAnswer: the bytes are not UTF-8.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadAnswer("it is not UTF-8") from error
    return Message(TEXT, body)


def too_large(limit: int) -> BadAnswer:
    """Returns the error for a body, line or event above the limit."""
    return BadAnswer(f"it is longer than {limit} bytes")


def close_in(response: Response) -> Close | None:
    """Returns the close in `X-Wsgw-Close`; None if there is none or its code may not be sent."""
    asked = response.headers.get("X-Wsgw-Close")
    if asked is None:
        return None
    code, _, reason = asked.strip().partition(" ")
    if len(code) != 4 or not code.isascii() or not code.isdecimal():
        return None
    if int(code) != CloseCode.NORMAL and not 3000 <= int(code) <= 4999:
        return None
    raw = reason.strip().encode(errors="replace")[:_MAX_REASON]
    return Close(int(code), raw.decode(errors="ignore"))


def retry_after(response: Response) -> float:
    """Returns the seconds in `Retry-After` (RFC 9110 section 10.2.3); 0 if there are none."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


class Pausable:
    """Stops the timeout of a request while the client is slow.

    Args:
        deadline: the timeout of the request.
    """

    def __init__(self, deadline: asyncio.Timeout) -> None:
        self._deadline = deadline
        self._left: float | None = None

    def __enter__(self) -> None:
        when = self._deadline.when()
        if when is not None:
            self._left = when - asyncio.get_running_loop().time()
            self._deadline.reschedule(None)

    def __exit__(self, *_: object) -> None:
        if self._left is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._left)
