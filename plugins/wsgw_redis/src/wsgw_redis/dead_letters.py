"""Stores replies that no session takes in the stream of dead letters."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from .metrics import RedisMetrics
from .settings import RedisSettings

UNKNOWN_SESSION, INVALID, BUFFER = "unknown-session", "invalid", "buffer"
_OVERHEAD = 64  # approximate bytes of a Python object
_ENTRY_KEPT = 4096  # names and values; further ones are cut off
_MOST_BYTES = 16 * 1024 * 1024  # bytes that wait for Redis
_ONE_WRITE = 1024 * 1024  # bytes of letters in one write, or a single letter

Entry = tuple[bytes, list[bytes]]
"""The id of an entry, and its names and values, which alternate."""


class DeadLetters:
    """Counts dead letters, and keeps them until Redis has stored them.

    While Redis stores none, at most 16 MiB of letters wait, and no more than the stream may have;
    the oldest are dropped first. A letter has at most `max_size` bytes of the entry: a longer one
    cannot be a reply.

    Args:
        settings: the backend's.
        backend_id: named in each letter.
        metrics: the backend's.
        max_size: maximum bytes of an entry's names and values.
    """

    def __init__(
        self, settings: RedisSettings, backend_id: str, metrics: RedisMetrics, max_size: int
    ) -> None:
        self._stream = settings.dead_letters
        self._length = settings.dead_letters_length
        self._backend_id = backend_id
        self._metrics = metrics
        self._max_size = max_size
        self._waiting: deque[_Letter] = deque()
        self._waiting_bytes = 0

    def add(self, entry: Entry, why: str, detail: str = "") -> None:
        """Adds a letter.

        Args:
            entry: as it was read.
            why: one of the three reasons above.
            detail: what is invalid.
        """
        self._metrics.dead.labels(why).value += 1
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
            self._metrics.letters_lost.value += 1

    def commands(self) -> list[tuple[Any, ...]]:
        """Returns commands that store the oldest letters, which wait until `stored`."""
        commands: list[tuple[Any, ...]] = []
        size = 0
        for letter in self._waiting:
            size += letter.size
            if commands and size > _ONE_WRITE:
                break
            commands.append(letter.command)
        return commands

    def stored(self, count: int) -> None:
        """Drops the oldest letters, which Redis has stored."""
        for _ in range(min(count, len(self._waiting))):
            self._forget_oldest()

    def __len__(self) -> int:
        """The number of letters that wait."""
        return len(self._waiting)

    # Inside

    def _forget_oldest(self) -> None:
        self._waiting_bytes -= self._waiting.popleft().size

    def _cut(self, fields: list[bytes]) -> tuple[list[bytes], int]:
        """Returns names and values of at most `max_size` bytes, and their size."""
        size = sum(map(len, fields))
        if size <= self._max_size:
            return fields, size + _OVERHEAD * len(fields)
        kept, room = [], self._max_size
        for part in fields:
            kept.append(part[:room])
            room -= len(kept[-1])
        return kept, self._max_size + _OVERHEAD * len(kept)


class _Letter(NamedTuple):
    """One XADD, and the bytes of the entry in it."""

    command: tuple[Any, ...]
    size: int
