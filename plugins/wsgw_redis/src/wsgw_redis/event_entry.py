"""The entries of one session in the event stream."""

from __future__ import annotations

import time
from typing import Any

from wsgw_core.api import (
    BINARY,
    TEXT,
    Close,
    CloseCause,
    DialRequest,
    HandshakeField,
    Message,
)

from .line import pack
from .settings import RedisSettings

_Parts = tuple[Any, ...]


def _bulks(*parts: Any) -> bytes:
    """Returns parts of a command in the format of the protocol."""
    return pack(parts).partition(b"\r\n")[2]


_KINDS = {TEXT: b"text", BINARY: b"binary"}
_KIND_AND_DATA = {kind: _bulks(b"kind", name, b"data") for kind, name in _KINDS.items()}
_BY = {
    CloseCause.CLIENT_LEFT: b"client",
    CloseCause.BACKEND_ENDED: b"backend",
    CloseCause.GATEWAY_STOPS: b"gateway",
    CloseCause.SESSION_ENDED: b"gateway",
}
_ONCE_MORE = (b"replayed", b"1")
_PEER = HandshakeField("peer")


class EventEntries:
    """Makes the XADD commands of one session in the format of the protocol.

    The parts that all messages of the session share are packed once.

    Args:
        request: the dial.
        settings: the backend's.
        stream: the event stream.
        replies: the reply stream.
        subprotocol: the session's.

    Attributes:
        session_id: the session's.
        stream: see above.
    """

    def __init__(
        self,
        request: DialRequest,
        settings: RedisSettings,
        stream: str,
        replies: str,
        subprotocol: str | None,
    ) -> None:
        self.session_id = request.session_id
        self.stream = stream
        self._seen_up_to = request.seen_up_to
        self._hydrations = 0
        self._session = request.session_id.encode()
        path, _, query = request.path.partition("?")
        self._head: _Parts = (b"XADD", stream.encode())
        self._max_age = settings.max_age
        if settings.max_length is not None:
            self._head += (b"MAXLEN", b"~", settings.max_length)
        self._body: _Parts = (b"reply", replies.encode(), b"path", path.encode())
        traceparent = _header(request, "traceparent")
        trace = (b"traceparent", traceparent) if traceparent else ()
        fields = _header_fields(request, settings.headers)
        carried = tuple(part for pair in fields for part in pair)
        self._tail: _Parts = trace if settings.headers_on == "connect" else (*trace, *carried)
        peer = _PEER.of(request) or ""
        self._connect: _Parts = (*trace, *carried, b"peer", peer.encode())
        for name, value in (("subprotocol", subprotocol), ("query", query)):
            if value:
                self._connect += (name.encode(), value.encode())
        if request.reconnect:
            self._connect += (b"reconnect", b"1")
        start = (*self._head, b"*", b"type", b"message", b"id")
        session = (b"session", self._session, *self._body, b"time")
        count = len(start) + 1 + len(session) + 1 + len(b"number kind data".split()) * 2
        count += len(self._tail)
        self._before_id = b"*%d\r\n" % count + _bulks(*start)
        self._before_time = _bulks(*session) + b"$13\r\n"  # `message` pads the time
        self._before_number = b"\r\n" + _bulks(b"number")
        self._packed_tail = b"\r\n" + (_bulks(*self._tail) if self._tail else b"")
        self._id_length = len(self._session) + 1

    def message(self, number: int, message: Message) -> bytes:
        """Returns the command for one message; number 0 is a hydration."""
        if number <= self._seen_up_to or self._max_age is not None:
            return self._unusual_message(number, message)
        counted, data = b"%d" % number, message.data
        length = len(counted)
        return b"%b$%d\r\n%b-%b\r\n%b%013d%b$%d\r\n%b\r\n%b$%d\r\n%b%b" % (
            self._before_id,
            self._id_length + length,
            self._session,
            counted,
            self._before_time,
            time.time() * 1000,
            self._before_number,
            length,
            counted,
            _KIND_AND_DATA[message.kind],
            len(data),
            data,
            self._packed_tail,
        )

    def _unusual_message(self, number: int, message: Message) -> bytes:
        suffix = counted = b"%d" % number
        if not number:
            self._hydrations += 1
            suffix = b"h%d.%d" % (self._seen_up_to, self._hydrations)
        command = (
            *self._start(b"message", suffix),
            b"number",
            counted,
            b"kind",
            _KINDS[message.kind],
            b"data",
            message.data,
        )
        if 0 < number <= self._seen_up_to:
            command += _ONCE_MORE
        return pack(command + self._tail)

    def connect(self, count: int, *, replayed: bool) -> bytes:
        """Returns the command for a connect event."""
        command = self._start(b"connect", b"c%d" % count) + self._connect
        return pack(command + _ONCE_MORE if replayed else command)

    def disconnect(self, close: Close, cause: CloseCause, *, replayed: bool) -> bytes:
        """Returns the command for the end of the session."""
        command = (
            *self._start(b"disconnect", b"d"),
            *(b"code", close.code, b"reason", close.reason.encode(), b"by", _BY[cause]),
            *self._tail,
        )
        return pack(command + _ONCE_MORE if replayed else command)

    def _start(self, event: bytes, suffix: bytes) -> _Parts:
        now = int(time.time() * 1000)
        if self._max_age is not None:
            trim: _Parts = (b"MINID", b"~", now - int(self._max_age * 1000))
        else:
            trim = ()
        return (
            *self._head,
            *trim,
            b"*",
            b"type",
            event,
            b"id",
            b"%b-%b" % (self._session, suffix),
            b"session",
            self._session,
            *self._body,
            b"time",
            now,
        )


def _header(request: DialRequest, name: str) -> bytes:
    """Returns a header's value; several are joined, see RFC 9110 section 5.3."""
    found = [value for field, value in request.headers if field.lower() == name]
    return ", ".join(found).encode("latin-1")


def _header_fields(request: DialRequest, names: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    wanted = dict.fromkeys(name.lower() for name in names)
    found = [(name, _header(request, name)) for name in wanted]
    return [(b"header." + name.encode(), value) for name, value in found if value]
