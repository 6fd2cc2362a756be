"""A message that is still in the frame in which it came."""

from __future__ import annotations

from typing import final

from ..api import Message, MessageKind
from .frames import read_payload


@final
class FramedMessage(Message):
    """Keeps the frame, which can be sent on as it is; the payload is made when it is asked for.

    It keeps one of the two, never both, so that a ledger needs no more memory than it counts.

    Attributes:
        size: bytes of the payload.
        frame: the whole frame; None once the payload was asked for.
        masked: whether the frame is masked, and so can go to a server; else to a client.
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
    def data(self) -> bytes:  # type: ignore[override]  # messages are values: nobody assigns it
        """The payload."""
        frame = self.frame
        if frame is not None:
            self._payload = read_payload(frame, self.size, masked=self.masked)
            self.frame = None
        return self._payload
