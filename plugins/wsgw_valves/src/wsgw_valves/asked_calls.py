"""A backend's calls that the client has not answered."""

from __future__ import annotations

from .session_memory import SHARE


class AskedCalls:
    """Remembers the ids of this backend's calls; answers to other calls are for lost backends.

    Args:
        most: maximum ids; above it the oldest is forgotten.

    Attributes:
        bytes: of all ids.
    """

    __slots__ = ("_ids", "_most", "bytes")

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: dict[bytes, None] = {}  # oldest first
        self.bytes = 0

    def add(self, id_: bytes) -> None:
        """Remembers a call."""
        if id_ in self._ids:
            return
        if len(self._ids) >= self._most:
            self.answer(next(iter(self._ids)))
        self._ids[id_] = None
        self.bytes += len(id_) + SHARE

    def answer(self, id_: bytes) -> bool:
        """Forgets an answered call; returns whether it was remembered."""
        if id_ not in self._ids:
            return False
        del self._ids[id_]
        self.bytes -= len(id_) + SHARE
        return True

    def clear(self) -> None:
        """Forgets all calls, because the backend is lost."""
        self._ids.clear()
        self.bytes = 0
