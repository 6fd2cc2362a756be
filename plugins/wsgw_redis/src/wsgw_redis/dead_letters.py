"""Replies that no session takes."""

from __future__ import annotations

from collections import deque
from typing import Any

from .measures import Measures
from .settings import RedisSettings

UNKNOWN_SESSION, INVALID, BUFFER = "unknown-session", "invalid", "buffer"
_ENTRY_KEPT = 4096  # names and values; an entry may have more of them than sense

Entry = tuple[bytes, list[bytes]]
"""The id of an entry, and its names and values, which alternate."""


class DeadLetters:
    """Counts them, and keeps them until they are in their stream.

    Args:
        settings: of the backend.
        backend_id: told in each.
        measures: counts them.
    """

    def __init__(self, settings: RedisSettings, backend_id: str, measures: Measures) -> None:
        self._stream = settings.dead_letters
        self._length = settings.dead_letters_length
        self._backend_id = backend_id
        self._measures = measures
        self._waiting: deque[tuple[Any, ...]] = deque(maxlen=settings.dead_letters_length)

    def add(self, entry: Entry, why: str, detail: str = "") -> None:
        """Note a reply.

        Args:
            entry: as it was read.
            why: one of the three reasons.
            detail: what is invalid.
        """
        self._measures.dead.labels(why).value += 1
        if self._stream is False:
            return
        entry_id, fields = entry
        told = (("why", why), ("detail", detail), ("gateway", self._backend_id))
        own = tuple(part for pair in told if pair[1] for part in pair)
        self._waiting.append(
            (
                *("XADD", self._stream, "MAXLEN", "~", self._length, "*"),
                *fields[:_ENTRY_KEPT],
                *own,
                *("entry", entry_id),
            )
        )

    def commands(self) -> list[tuple[Any, ...]]:
        """Return the commands that store what waits; it waits until `stored`."""
        return list(self._waiting)

    def stored(self, count: int) -> None:
        """Forget the oldest."""
        for _ in range(min(count, len(self._waiting))):
            self._waiting.popleft()
