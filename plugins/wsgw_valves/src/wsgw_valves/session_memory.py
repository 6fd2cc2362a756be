"""Limits what a valve remembers for a session."""

from __future__ import annotations

SHARE = 200  # bytes of an entry besides its content


class MemoryExceeded(Exception):
    """A session exceeds its memory; the text says the limit."""


class SessionMemory:
    """Counts the bytes that a valve remembers for a session.

    Args:
        most: maximum bytes.

    Attributes:
        used: bytes of all entries.
    """

    __slots__ = ("_most", "used")

    def __init__(self, most: int) -> None:
        self._most = most
        self.used = 0

    def has_room(self, size: int) -> bool:
        """Returns whether there is room for an entry."""
        return self.used + size + SHARE <= self._most

    def take(self, size: int) -> None:
        """Counts a new entry.

        Raises:
            MemoryExceeded: there is no room for it.
        """
        if not self.has_room(size):
            raise MemoryExceeded(f"the session needs more than {self._most} bytes of memory")
        self.used += size + SHARE

    def free(self, size: int) -> None:
        """Counts the end of an entry."""
        self.used -= size + SHARE
