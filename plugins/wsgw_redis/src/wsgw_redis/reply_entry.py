"""Parses the entries of the reply stream."""

from __future__ import annotations

from typing import NamedTuple

from wsgw_core.api import BINARY, TEXT, Close, CloseCode, Message

_KINDS = {b"text": TEXT, b"binary": BINARY}
_LONGEST_REASON = 123  # bytes, RFC 6455 section 5.5


class InvalidEntry(ValueError):
    """An entry is not a reply; the text says why."""


class ReplyEntry(NamedTuple):
    """One reply.

    Attributes:
        session_id: the session whose client gets the reply.
        message: None: the reply only closes.
        close: ends the session after the message; None: the session goes on.
    """

    session_id: str
    message: Message | None
    close: Close | None

    @classmethod
    def parse(cls, fields: list[bytes]) -> ReplyEntry:
        """Parses an entry's names and values, which alternate.

        Raises:
            InvalidEntry: the entry is not a reply.
        """
        pairs = iter(fields)
        found = dict(zip(pairs, pairs, strict=True))
        session = found.get(b"session")
        if not session:
            raise InvalidEntry("no session")
        data, close = found.get(b"data"), found.get(b"close")
        if data is None and close is None:
            raise InvalidEntry("neither data nor close")
        return cls(
            session.decode("ascii", "replace"),
            None if data is None else _message(found.get(b"kind", b"text"), data),
            None if close is None else _close(close, found.get(b"reason", b"")),
        )


def _message(kind_name: bytes, data: bytes) -> Message:
    kind = _KINDS.get(kind_name)
    if kind is None:
        raise InvalidEntry("unknown kind")
    if kind is TEXT and not data.isascii():
        _utf8(data)
    return Message(kind, data)


def _close(text: bytes, reason: bytes) -> Close:
    code = int(text) if text.isdigit() and len(text) == 4 else 0
    if code != CloseCode.NORMAL and not 3000 <= code <= 4999:
        raise InvalidEntry("a close code is 1000 or 3000 to 4999")
    if len(reason) > _LONGEST_REASON:
        raise InvalidEntry(f"a reason has at most {_LONGEST_REASON} bytes")
    return Close(code, _utf8(reason))


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidEntry("text that is not UTF-8") from None
