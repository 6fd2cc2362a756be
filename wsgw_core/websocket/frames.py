"""Reads and writes frames (RFC 6455 section 5.2)."""

from __future__ import annotations

import os
from struct import Struct

from ..api import CloseCode

try:
    from websockets.speedups import apply_mask
except ImportError:  # not compiled for every platform
    from websockets.utils import apply_mask

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80
RSV1 = 0x40
RESERVED = 0x70
OPCODE = 0x0F
MASK = 0x80

_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_SHORT, _MEDIUM, _LONG = 126, 1 << 16, 1 << 63
_MEDIUM_HEAD = Struct("!BBH")
_LONG_HEAD = Struct("!BBQ")
_KEY = 4
_PIECE = 4096  # bytes; above, a view is cheaper than a copy
_MAX_REASON = 123  # a control frame's 125 bytes less the close code


class FrameError(Exception):
    """The peer breaks the protocol or a limit.

    Attributes:
        code: the close code to answer with.
    """

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(reason)


def head_size(size: int, *, masked: bool) -> int:
    """Returns how many bytes a frame has before a payload of `size` bytes."""
    length = 2 if size < _SHORT else 4 if size < _MEDIUM else 10
    return length + _KEY if masked else length


def read_length(data: bytes, position: int, *, masked: bool, max_size: int) -> tuple[int, int]:
    """Returns the size of a frame's payload, and the position of the frame's end.

    Args:
        data: bytes with a frame that begins at `position`. If they do not contain the whole length
            field, the returned end is behind the end of `data`.
        position: the position of the frame.
        masked: whether the frame must be masked; if not, it must not be.
        max_size: maximum bytes of the payload; control frames have a limit of their own.

    Raises:
        FrameError: the frame breaks a rule or the limit.
    """
    available = len(data) - position
    if available < 2:
        return 0, len(data) + 1
    second = data[position + 1]
    if bool(second & MASK) != masked:
        raise FrameError(CloseCode.PROTOCOL_ERROR, f"frame {'not ' if masked else ''}masked")
    size = second & ~MASK
    if size >= _SHORT:
        if data[position] & CLOSE:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "control frame of more than 125 bytes")
        width = 2 if size == _SHORT else 8
        if available < 2 + width:
            return 0, len(data) + 1
        size = int.from_bytes(data[position + 2 : position + 2 + width], "big")
        if not (_SHORT <= size < _MEDIUM if width == 2 else _MEDIUM <= size < _LONG):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "frame length is not in its shortest form")
    if size > max_size and not data[position] & CLOSE:
        raise FrameError(CloseCode.TOO_BIG, f"frame longer than {max_size} bytes")
    return size, position + head_size(size, masked=masked) + size


def check_first_byte(first: int) -> None:
    """Checks the opcode, and that a control frame is not fragmented; ignores the reserved bits.

    Raises:
        FrameError: the frame breaks a rule.
    """
    opcode = first & OPCODE
    if opcode not in _OPCODES:
        raise FrameError(CloseCode.PROTOCOL_ERROR, f"unknown opcode {opcode}")
    if opcode & CLOSE and not first & FIN:
        raise FrameError(CloseCode.PROTOCOL_ERROR, "fragmented control frame")


def read_payload(frame: bytes, size: int, *, masked: bool) -> bytes:
    """Returns the unmasked payload of a whole frame."""
    start = len(frame) - size
    if not masked:
        return frame[start:]
    key = frame[start - _KEY : start]
    return apply_mask(frame[start:] if size < _PIECE else memoryview(frame)[start:], key)


def is_utf8(payload: bytes) -> bool:
    """Returns whether a payload may be text."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_close(payload: bytes) -> tuple[int, str]:
    """Returns the code and the reason of a close frame (section 5.5.1); 1005 if it has none.

    Raises:
        FrameError: the code may not be sent, or the reason is not valid UTF-8.
    """
    if not payload:
        return CloseCode.NO_CODE, ""
    code = int.from_bytes(payload[:2], "big")
    if not CloseCode.may_be_sent(code):  # nor may a single byte, which is less than any code
        raise FrameError(CloseCode.PROTOCOL_ERROR, "not a close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise FrameError(CloseCode.INVALID_PAYLOAD, "close reason is not valid UTF-8") from error


def close_payload(code: int, reason: str) -> bytes:
    """Returns the payload of a close frame; empty for 1005.

    A code that may not be sent becomes 1011. The reason is cut between two characters to at most
    123 bytes.
    """
    if code == CloseCode.NO_CODE:
        return b""
    sent = code if CloseCode.may_be_sent(code) else CloseCode.INTERNAL_ERROR
    data = reason.encode(errors="replace")
    if len(data) > _MAX_REASON:
        data = data[:_MAX_REASON].decode(errors="ignore").encode()
    return sent.to_bytes(2, "big") + data


def write_frame(first: int, payload: bytes | bytearray | memoryview, *, masked: bool) -> bytes:
    """Returns a frame.

    Args:
        first: the first byte: FIN, reserved bits and opcode.
        payload: the payload, not masked.
        masked: whether to mask it, as clients must, with a fresh random key.
    """
    size, mask = len(payload), MASK if masked else 0
    if size < _SHORT:
        head = bytes((first, mask | size))
    elif size < _MEDIUM:
        head = _MEDIUM_HEAD.pack(first, mask | 126, size)
    else:
        head = _LONG_HEAD.pack(first, mask | 127, size)
    if masked:
        key = os.urandom(_KEY)
        return b"".join((head, key, apply_mask(payload, key)))
    return b"".join((head, payload))


class UnfinishedFrame:
    """A frame whose end has not been read yet.

    Args:
        beginning: the bytes read.
        size: the number of bytes that complete the frame or its length field.
    """

    __slots__ = ("_missing", "_pieces", "_whole")

    def __init__(self, beginning: bytes, size: int) -> None:
        self._pieces = [beginning]
        self._missing = size - len(beginning)
        self._whole = size

    @property
    def size(self) -> int:
        """The number of bytes read."""
        return self._whole - self._missing

    def add(self, data: bytes) -> bytes:
        """Adds bytes; returns all bytes once there are `size` of them, nothing before."""
        # join small reads, so that they leave no small objects
        if len(self._pieces[-1]) < _PIECE:
            self._pieces[-1] += data
        else:
            self._pieces.append(data)
        self._missing -= len(data)
        return b"" if self._missing > 0 else b"".join(self._pieces)
