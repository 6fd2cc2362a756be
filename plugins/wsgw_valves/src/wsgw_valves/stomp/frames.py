"""Splits websocket messages into frames, and parses their headers (STOMP 1.2)."""

from __future__ import annotations

import re

MOST_AT_ONCE = 4096  # frames in one message, which are handled in one turn of the event loop
_MOST_HEAD = 64 * 1024  # bytes of a command and its headers
_HEAD_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,10})[ \t]*\r?\n")
_ESCAPED = re.compile(rb"\\(.)")
_WELL_ESCAPED = re.compile(rb"(?:[^\\]++|\\[nrc\\])*+")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"c": b":", b"\\": b"\\"}
_UNESCAPED = (b"CONNECT", b"STOMP", b"CONNECTED")  # for STOMP 1.0
# The headers that valves read. Others are not kept: one frame may have thousands of them.
_HEADER = re.compile(
    rb"\n(ack|destination|id|message|message-id|receipt|receipt-id|subscription|transaction|version)"
    rb":([^\n]*+)"
)
_NO_HEADER = re.compile(rb"\n[^:\n]*+(?=\n|\Z)")
_ANY_EOLS = re.compile(rb"[\r\n]*+")
_EOLS = b"\r\n"


class MalformedFrame(ValueError):
    """A frame is invalid, or not allowed at this point; the text says why."""


class Frame:
    """One frame.

    Args:
        data: from the command to the last byte, which is 0.

    Attributes:
        command: the command.

    Raises:
        MalformedFrame: the frame has no command.
    """

    __slots__ = ("_headers", "command", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        end = data.find(b"\n")
        if end < 0:
            raise MalformedFrame("a frame without a command")
        self.command = data[:end].removesuffix(b"\r")
        self._headers: dict[bytes, bytes] | None = None

    def __getitem__(self, name: bytes) -> bytes | None:
        """Returns the value of the first header with this name; None: there is none.

        Only headers that the valve reads have a value.

        Raises:
            MalformedFrame: a line is not a header.
        """
        if self._headers is None:
            self._headers = self._read()
        return self._headers.get(name)

    def with_header(self, name: bytes, value: bytes) -> Frame:
        """Returns the frame with another value of a header that it has.

        Args:
            name: of the header, without escapes.
            value: escaped if needed.
        """
        start = self.data.index(b"\n" + name + b":") + len(name) + 2
        end = self.data.index(b"\n", start)
        if self.data[end - 1 : end] == b"\r":
            end -= 1
        return Frame(self.data[:start] + value + self.data[end:])

    def raw(self, name: bytes) -> bytes:
        """Returns the escaped value of a header that the frame has."""
        start = self.data.index(b"\n" + name + b":") + len(name) + 2
        return self.data[start : self.data.index(b"\n", start)].removesuffix(b"\r")

    def _read(self) -> dict[bytes, bytes]:
        end = _HEAD_END.search(self.data)
        if end is None:
            raise MalformedFrame("a frame without an end of its headers")
        head = self.data[: end.start()]
        if _NO_HEADER.search(head) is not None:
            raise MalformedFrame("a header without a colon")
        is_escaped = b"\\" in head and self.command not in _UNESCAPED
        if is_escaped and _WELL_ESCAPED.fullmatch(head) is None:
            raise MalformedFrame("a header with an unknown escape")
        headers: dict[bytes, bytes] = {}
        for name, value in _HEADER.findall(head):
            value = value.removesuffix(b"\r")  # noqa: PLW2901 - the same value
            headers.setdefault(name, _unescaped(value) if is_escaped else value)
        return headers


def _unescaped(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: _ESCAPES[found[1]], text)


class FrameSplitter:
    """Assembles the frames of one direction, which may span messages.

    Args:
        most: maximum bytes of a frame.
    """

    __slots__ = ("_body", "_end", "_most", "_rest", "_searched")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()  # of an incomplete frame
        self._begin()

    def _begin(self) -> None:
        self._body = 0  # position of the body; 0: not known yet
        self._end: int | None = None  # position of its end, if the frame has a content-length
        self._searched = 0  # no end before this position

    def frame_in(self, data: bytes) -> bytes | None:
        """Returns the only frame of a message, without EOLs around it.

        Empty: only EOLs, which are a heart-beat. None: the message needs `split`.
        """
        if self._rest:
            return None
        frame = data.strip(_EOLS)
        size = len(frame)
        if not frame or size > self._most or frame.find(b"\0") != size - 1:
            return None if frame else b""
        head = _HEAD_END.search(frame, 0, _MOST_HEAD)
        if head is None:
            return None
        length = _LENGTH.search(frame, 0, head.end())
        if length is not None and head.end() + int(length[1]) != size - 1:
            return None
        return frame

    def split(self, data: bytes) -> list[bytes]:
        """Returns the frames that end in a message; an empty one for EOLs between them.

        Raises:
            MalformedFrame: a frame is too large or broken, or there are too many.
        """
        rest = self._rest
        rest += data
        frames: list[bytes] = []
        while rest:
            if not self._searched and rest[0] in _EOLS:
                self._skip_eols()
                frames.append(b"")
            elif (end := self._found_end()) is None:
                break
            else:
                frames.append(bytes(rest[:end]))
                del rest[:end]
                self._begin()
            if len(frames) > MOST_AT_ONCE:
                raise MalformedFrame(f"more than {MOST_AT_ONCE} frames in a message")
        return frames

    @property
    def waiting_bytes(self) -> int:
        """Bytes of an incomplete frame."""
        return len(self._rest)

    def forget(self) -> None:
        """Drops an incomplete frame."""
        self._rest.clear()
        self._begin()

    def _skip_eols(self) -> None:
        eols = _ANY_EOLS.match(self._rest)
        assert eols is not None  # noqa: S101 - it may be empty
        del self._rest[: eols.end()]

    def _found_end(self) -> int | None:
        rest = self._rest
        if not self._body and not self._find_body():
            return None
        end = self._end
        if end is None:
            end = rest.find(b"\0", self._searched)
            self._searched = len(rest)
        if max(end, self._searched if end < 0 else 0) >= self._most:
            raise MalformedFrame(f"a frame of more than {self._most} bytes")
        if end < 0 or end >= len(rest):
            return None
        if rest[end]:
            raise MalformedFrame("a frame is longer than its content-length")
        return end + 1

    def _find_body(self) -> bool:
        rest = self._rest
        head = _HEAD_END.search(rest, max(0, self._searched - 2), _MOST_HEAD)
        until = _MOST_HEAD if head is None else head.start()
        if rest.find(b"\0", self._searched, until) >= 0:
            raise MalformedFrame("a frame without an end of its headers")
        if head is None:
            if len(rest) >= min(_MOST_HEAD, self._most):
                raise MalformedFrame("a frame whose headers are too long")
            self._searched = len(rest)
            return False
        self._body = self._searched = head.end()
        length = _LENGTH.search(rest, 0, self._body)
        self._end = self._body + int(length[1]) if length is not None else None
        return True
