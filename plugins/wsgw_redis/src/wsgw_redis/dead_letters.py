"""Replies that no session takes."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from .measures import Measures
from .settings import RedisSettings

UNKNOWN_SESSION, INVALID, BUFFER = "unknown-session", "invalid", "buffer"
_OVERHEAD = 64  # bytes of an object of Python, about
_ENTRY_KEPT = 4096  # names and values; an entry may have more of them than sense
_MOST_BYTES = 16 * 1024 * 1024  # that wait for Redis
_ONE_WRITE = 1024 * 1024  # bytes of letters that are written at once, or one letter

Entry = tuple[bytes, list[bytes]]
"""The id of an entry, and its names and values, which alternate."""


class DeadLetters:
    """Counts them, and keeps them until they are in their stream.

    While Redis takes none, 16 MiB of them wait, and not more than the stream may have; the oldest
    are dropped first. A letter has `max_size` bytes of an entry at most: what is longer was no
    reply that a client could get.

    Args:
        settings: of the backend.
        backend_id: told in each.
        measures: counts them.
        max_size: bytes of an entry's names and values.
    """

    def __init__(
        self, settings: RedisSettings, backend_id: str, measures: Measures, max_size: int
    ) -> None:
        self._stream = settings.dead_letters
        self._length = settings.dead_letters_length
        self._backend_id = backend_id
        self._measures = measures
        self._max_size = max_size
        self._waiting: deque[_Letter] = deque()
        self._waiting_bytes = 0

    def add(self, entry: Entry, why: str, detail: str = "") -> None:
        """Notes a reply.

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
        kept, size = self._cut(fields[:_ENTRY_KEPT])
        command = (
            *("XADD", self._stream, "MAXLEN", "~", self._length, "*"),
            *kept,
            *own,
            *("entry", entry_id),
        )
        self._waiting.append(_Letter(command, size))
        self._waiting_bytes += size
        while len(self._waiting) > self._length or (
            self._waiting_bytes > _MOST_BYTES and len(self._waiting) > 1
        ):
            self._forget_oldest()
            self._measures.letters_lost.value += 1

    def commands(self) -> list[tuple[Any, ...]]:
        """Returns commands that store the oldest of what waits; these wait until `stored`."""
        commands: list[tuple[Any, ...]] = []
        size = 0
        for letter in self._waiting:
            size += letter.size
            if commands and size > _ONE_WRITE:
                break
            commands.append(letter.command)
        return commands

    def stored(self, count: int) -> None:
        """Forgets the oldest."""
        for _ in range(min(count, len(self._waiting))):
            self._forget_oldest()

    def __len__(self) -> int:
        """How many are not stored yet."""
        return len(self._waiting)

    # Inside

    def _forget_oldest(self) -> None:
        self._waiting_bytes -= self._waiting.popleft().size

    def _cut(self, fields: list[bytes]) -> tuple[list[bytes], int]:
        """Returns names and values of `max_size` bytes at most, and how many bytes they are."""
        size = sum(map(len, fields))
        if size <= self._max_size:
            return fields, size + _OVERHEAD * len(fields)
        kept, room = [], self._max_size
        for part in fields:
            kept.append(part[:room])
            room -= len(kept[-1])
        return kept, self._max_size + _OVERHEAD * len(kept)


class _Letter(NamedTuple):
    """One XADD, and how many bytes it has of somebody else's."""

    command: tuple[Any, ...]
    size: int
