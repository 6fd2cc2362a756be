"""A message that comes in several frames, or compressed (RFC 6455 section 5.4, RFC 7692)."""

from __future__ import annotations

from ..api import BINARY, TEXT, CloseCode, Limits, Message
from . import frames
from .compression import Deflate
from .frames import FrameError, is_utf8


class Fragments:
    """What has come of one message, within the bounds of its size and of its number of frames.

    Args:
        first_byte: of the message's first frame.
        limits: both bounds; that of the size is for what has been decompressed.
        deflate: the compression that the handshake has agreed on.

    Attributes:
        size: bytes that have come, decompressed.
    """

    __slots__ = ("_deflate", "_kind", "_limits", "_parts", "size")

    def __init__(self, first_byte: int, limits: Limits, deflate: Deflate | None) -> None:
        self._kind = TEXT if first_byte & frames.OPCODE == frames.TEXT else BINARY
        self._deflate = deflate if first_byte & frames.RSV1 else None
        self._limits = limits
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, payload: bytes, *, final: bool) -> Message | None:
        """Adds what a frame brought; returns the message if that was the last of its frames.

        Raises:
            FrameError: it breaks a bound, or is not what it says it is.
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
