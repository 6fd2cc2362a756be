"""How much is remembered of a session."""

from __future__ import annotations

_SHARE = 200  # bytes that anything takes besides its content


class MemoryExceeded(Exception):
    """There is more to be remembered than the options allow; the text says of what."""


class SessionMemory:
    """Counts the bytes that are remembered of a session.

    Args:
        most: bytes.
    """

    __slots__ = ("_most", "_used")

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    def has_room(self, size: int) -> bool:
        """Return whether something of this size can be remembered."""
        return self._used + size + _SHARE <= self._most

    def take(self, size: int) -> None:
        """Remember something of this size.

        Raises:
            MemoryExceeded: there is no room for it.
        """
        if not self.has_room(size):
            raise MemoryExceeded(f"more than {self._most} bytes to be remembered")
        self._used += size + _SHARE

    def free(self, size: int) -> None:
        """Forget something of this size."""
        self._used -= size + _SHARE
