"""The entries that the event stream gets of one session."""

from __future__ import annotations

import time
from typing import Any

from wsgw_core.api import BINARY, TEXT, Close, CloseCause, DialRequest, Message

from .settings import RedisSettings

Command = tuple[Any, ...]

_KINDS = {TEXT: b"text", BINARY: b"binary"}
_BY = {
    CloseCause.CLIENT_LEFT: b"client",
    CloseCause.BACKEND_ENDED: b"backend",
    CloseCause.GATEWAY_STOPS: b"gateway",
    CloseCause.SESSION_ENDED: b"gateway",
}
_ONCE_MORE = (b"replayed", b"1")


class EventEntries:
    """Makes the XADD commands of one session.

    Args:
        request: the dial.
        settings: of the backend.
        stream: what they are added to.
        replies: the stream for answers.
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
        self._head: Command = (b"XADD", stream.encode())
        self._max_age = settings.max_age
        if settings.max_length is not None:
            self._head += (b"MAXLEN", b"~", settings.max_length)
        self._body: Command = (b"reply", replies.encode(), b"path", path.encode())
        traceparent = _header(request, "traceparent")
        trace = (b"traceparent", traceparent) if traceparent else ()
        fields = _header_fields(request, settings.headers)
        carried = tuple(part for pair in fields for part in pair)
        self._tail: Command = trace if settings.headers_on == "connect" else (*trace, *carried)
        self._connect: Command = (*trace, *carried, b"peer", request.peer.encode())
        for name, value in (("subprotocol", subprotocol), ("query", query)):
            if value:
                self._connect += (name.encode(), value.encode())
        if request.reconnect:
            self._connect += (b"reconnect", b"1")

    def message(self, number: int, message: Message) -> Command:
        """Return the command for one message; number 0 stands for a hydration."""
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
        return command + self._tail

    def connect(self, count: int, *, replayed: bool) -> Command:
        """Return the command for the connect event of this number."""
        command = self._start(b"connect", b"c%d" % count) + self._connect
        return command + _ONCE_MORE if replayed else command

    def disconnect(self, close: Close, cause: CloseCause, *, replayed: bool) -> Command:
        """Return the command for the end of the session."""
        command = (
            *self._start(b"disconnect", b"d"),
            *(b"code", close.code, b"reason", close.reason.encode(), b"by", _BY[cause]),
            *self._tail,
        )
        return command + _ONCE_MORE if replayed else command

    def _start(self, event: bytes, suffix: bytes) -> Command:
        now = int(time.time() * 1000)
        if self._max_age is not None:
            trim: Command = (b"MINID", b"~", now - int(self._max_age * 1000))
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
    """Return a header's value, several joined as RFC 9110 section 5.3 has it."""
    found = [value for field, value in request.headers if field.lower() == name]
    return ", ".join(found).encode("latin-1")


def _header_fields(request: DialRequest, names: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    wanted = dict.fromkeys(name.lower() for name in names)
    found = [(name, _header(request, name)) for name in wanted]
    return [(b"header." + name.encode(), value) for name, value in found if value]
