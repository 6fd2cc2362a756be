"""A message in the frame in which it came."""

from __future__ import annotations

from typing import final

from ..api import Message, MessageKind
from .frames import read_payload


@final
class FramedMessage(Message):
    """A message that keeps its frame, which can be sent on unchanged.

    The first use of `data` replaces the frame by the payload. It keeps one of the two, never both,
    so that a ledger needs no more memory than it counts.

    Attributes:
        size: bytes of the payload.
        frame: the whole frame; None after the first use of `data`.
        masked: whether the frame is masked. A masked frame can go to a server, an unmasked one to a
            client.
    """

    __slots__ = ("_payload", "frame", "masked", "size")

    size: int
    frame: bytes | None
    masked: bool
    _payload: bytes

    def __init__(self, kind: MessageKind, size: int, frame: bytes, *, masked: bool) -> None:
        # Endpoint.data_received does the same without this call
        self.kind = kind
        self.size = size
        self.frame = frame
        self.masked = masked

    @property
    def data(self) -> bytes:  # type: ignore[override]  # messages are immutable
        """The payload."""
        frame = self.frame
        if frame is not None:
            self._payload = read_payload(frame, self.size, masked=self.masked)
            self.frame = None
        return self._payload
