"""The subscriptions of a client."""

from __future__ import annotations

from collections.abc import Iterator

from ..session_memory import MemoryExceeded, SessionMemory
from .frames import Frame


class Subscriptions:
    """The subscriptions that have not ended, in order, by id.

    A subscription that asks for a receipt begins or ends when the receipt arrives.

    Args:
        memory: the session's.
        most: maximum subscriptions, including those without a receipt.
    """

    __slots__ = ("_begun", "_memory", "_most", "_waiting")

    def __init__(self, memory: SessionMemory, most: int) -> None:
        self._memory = memory
        self._most = most
        self._begun: dict[bytes, Frame] = {}
        self._waiting: dict[bytes, Frame] = {}  # SUBSCRIBE and UNSUBSCRIBE frames, by receipt

    @staticmethod
    def key(frame: Frame) -> bytes:
        """Returns the id of a subscription, or its destination if it has none (STOMP 1.0)."""
        return frame[b"id"] or frame[b"destination"] or b""

    def ask(self, frame: Frame, receipt: bytes | None) -> None:
        """Handles a SUBSCRIBE or UNSUBSCRIBE.

        Raises:
            MemoryExceeded: there are too many subscriptions, or no memory.
        """
        is_new = frame.command == b"SUBSCRIBE" and self.key(frame) not in self._begun
        if is_new and len(self._begun) + len(self._waiting) >= self._most:
            raise MemoryExceeded(f"more than {self._most} subscriptions")
        if receipt is None:
            self._change(frame)
            return
        self._free(self._waiting.pop(receipt, None))
        self._memory.take(len(frame.data))
        self._waiting[receipt] = frame

    def answer(self, receipt: bytes) -> None:
        """Handles a RECEIPT."""
        frame = self._waiting.pop(receipt, None)
        if frame is not None:
            self._free(frame)
            self._change(frame)

    def wants_acknowledgements(self, key: bytes) -> bool:
        """Returns whether the client acknowledges messages of a subscription."""
        frame = self._begun.get(key)
        return frame is None or frame[b"ack"] not in (None, b"auto")

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._begun.values())

    def _change(self, frame: Frame) -> None:
        key = self.key(frame)
        self._free(self._begun.pop(key, None))
        if frame.command == b"SUBSCRIBE":
            self._memory.take(len(frame.data))
            self._begun[key] = frame

    def _free(self, frame: Frame | None) -> None:
        if frame is not None:
            self._memory.free(len(frame.data))
