"""Joins a message that comes in several frames, or compressed (RFC 6455 section 5.4, RFC 7692)."""

from __future__ import annotations

from ..api import BINARY, TEXT, CloseCode, Limits, Message
from . import frames
from .compression import Deflate
from .frames import FrameError, is_utf8


class Fragments:
    """The frames of one incomplete message.

    Args:
        first_byte: the first byte of the message's first frame.
        limits: limits the number of frames, and the size after decompression.
        deflate: the compression that the handshake has agreed on.

    Attributes:
        size: bytes received, after decompression.
    """

    __slots__ = ("_deflate", "_kind", "_limits", "_parts", "size")

    def __init__(self, first_byte: int, limits: Limits, deflate: Deflate | None) -> None:
        self._kind = TEXT if first_byte & frames.OPCODE == frames.TEXT else BINARY
        self._deflate = deflate if first_byte & frames.RSV1 else None
        self._limits = limits
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, payload: bytes, *, final: bool) -> Message | None:
        """Adds a frame's payload; returns the message if this was its last frame.

        Raises:
            FrameError: the message exceeds a limit, is not valid UTF-8, or cannot be decompressed.
        """
        limit = self._limits.max_fragments
        if len(self._parts) == limit:
            raise FrameError(CloseCode.POLICY_VIOLATION, f"message of more than {limit} fragments")
        room = self._limits.max_message_size - self.size
        if self._deflate is not None:
            first = not self._parts
            payload = self._deflate.decompress(payload, first=first, final=final, room=room)
        elif len(payload) > room:
            raise FrameError(
                CloseCode.TOO_BIG, f"message longer than {self._limits.max_message_size} bytes"
            )
        self.size += len(payload)
        self._parts.append(payload)
        if not final:
            return None
        data = b"".join(self._parts)
        if self._kind is TEXT and not is_utf8(data):
            raise FrameError(CloseCode.INVALID_PAYLOAD, "text is not valid UTF-8")
        return Message(self._kind, data)
