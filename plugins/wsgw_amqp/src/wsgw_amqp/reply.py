"""Parses a reply: its properties, and the message for the client."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from pamqp import commands, decode

from wsgw_core.api import BINARY, TEXT, Close, CloseCode, Message, MessageKind

_FLAGS = commands.Basic.Properties.flags
_CONTENT_TYPE = _FLAGS["content_type"]
_CONTENT_ENCODING = _FLAGS["content_encoding"]
_HEADERS = _FLAGS["headers"]
_DELIVERY_MODE = _FLAGS["delivery_mode"]
_PRIORITY = _FLAGS["priority"]
_CORRELATION_ID = _FLAGS["correlation_id"]
_REPLY_TO = _FLAGS["reply_to"]
_EXPIRATION = _FLAGS["expiration"]
_MESSAGE_ID = _FLAGS["message_id"]
_MORE_FLAGS = 1

_FLAG_WORD = struct.Struct("!H")
_LENGTH = struct.Struct("!I")
_CLOSE, _REASON = "wsgw-close", "wsgw-reason"
_MAX_REASON = 123  # bytes in a close frame, RFC 6455 section 5.5
_MAX_SHOWN = 40  # characters of a worker's value in an error


class Reply(Message):
    """A reply, as valves get it.

    Attributes:
        message_id: the worker's; empty: none.
        redelivered: the broker may have delivered the reply before.
    """

    __slots__ = ("message_id", "redelivered")

    def __init__(
        self, kind: MessageKind, data: bytes, message_id: str, *, redelivered: bool
    ) -> None:
        super().__init__(kind, data)
        self.message_id = message_id
        self.redelivered = redelivered


class InvalidReplyError(ValueError):
    """A reply cannot be delivered; the text says why."""


class ReplyProperties(NamedTuple):
    """The properties of a reply that wsgw uses.

    Attributes:
        session_id: the session whose client gets the reply.
        content_type: empty: none.
        message_id: empty: none.
        close: ends the session after the reply's body; None: the session goes on.
    """

    session_id: str
    content_type: str
    message_id: str
    close: Close | None


def read_properties(packed: bytes) -> ReplyProperties:
    """Parses the properties of a reply, beginning with their flags (AMQP 0-9-1, 4.2.6.1).

    Raises:
        InvalidReplyError: the properties are not valid.
    """
    try:
        return _read(packed)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise InvalidReplyError("the properties are not valid") from error


def to_message(body: bytes, properties: ReplyProperties, *, redelivered: bool) -> Reply:
    """Returns the message for the client.

    Raises:
        InvalidReplyError: a text is not valid UTF-8.
    """
    kind = _kind_of(properties.content_type)
    if kind is not BINARY:
        try:
            body.decode()
        except UnicodeDecodeError as error:
            if kind is TEXT:
                raise InvalidReplyError("the text is not valid UTF-8") from error
            kind = BINARY
    return Reply(kind or TEXT, body, properties.message_id, redelivered=redelivered)


def _read(packed: bytes) -> ReplyProperties:
    (flags,) = _FLAG_WORD.unpack_from(packed)
    if flags & _MORE_FLAGS:
        raise InvalidReplyError("it has properties that AMQP 0-9-1 does not define")
    at, close = _FLAG_WORD.size, None
    content_type, at = _short_string(packed, at, flags & _CONTENT_TYPE)
    _, at = _short_string(packed, at, flags & _CONTENT_ENCODING)
    if flags & _HEADERS:
        end = at + _LENGTH.size + _LENGTH.unpack_from(packed, at)[0]
        if packed.find(b"wsgw-close", at, end) >= 0:
            close = _read_close(packed[at:end])
        at = end
    at += bool(flags & _DELIVERY_MODE) + bool(flags & _PRIORITY)
    session_id, at = _short_string(packed, at, flags & _CORRELATION_ID)
    if not session_id:
        raise InvalidReplyError("it has no correlation_id")
    _, at = _short_string(packed, at, flags & _REPLY_TO)
    _, at = _short_string(packed, at, flags & _EXPIRATION)
    message_id, at = _short_string(packed, at, flags & _MESSAGE_ID)
    return ReplyProperties(session_id, content_type, message_id, close)


def _short_string(packed: bytes, at: int, is_given: int) -> tuple[str, int]:
    """Returns a property, empty if it is not given, and the position of the next one."""
    if not is_given:
        return "", at
    start = at + 1
    end = start + packed[at]
    return packed[start:end].decode(), end


def _read_close(table: bytes) -> Close | None:
    try:
        _, headers = decode.field_table(table)
    except (ValueError, struct.error, RecursionError) as error:  # tables can nest without limit
        raise InvalidReplyError("the headers are not valid") from error
    if _CLOSE not in headers:
        return None
    try:
        code = int(str(headers[_CLOSE]))
    except ValueError:
        code = 0
    if code != CloseCode.NORMAL and not 3000 <= code <= 4999:
        given = repr(headers[_CLOSE])[:_MAX_SHOWN]
        raise InvalidReplyError(f"{_CLOSE} is not 1000 or 3000 to 4999: {given}")
    reason = str(headers.get(_REASON, ""))
    return Close(code, reason.encode()[:_MAX_REASON].decode(errors="ignore"))


@lru_cache(maxsize=256)
def _kind_of(content_type: str) -> MessageKind | None:
    """Returns the kind of message for a content type; None: the body decides."""
    if not content_type:
        return None
    media_type = content_type.partition(";")[0].strip().lower()
    is_text = media_type.startswith("text/") or media_type == "application/json"
    return TEXT if is_text or media_type.endswith("+json") else BINARY
