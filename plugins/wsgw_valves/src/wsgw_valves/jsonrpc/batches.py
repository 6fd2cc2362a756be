"""Batches of calls."""

from __future__ import annotations

from collections.abc import Sequence


class Batches:
    """Remembers the batch of each call, and notices when a batch is answered completely.

    Args:
        most: maximum open batches; above it the oldest are forgotten.
    """

    __slots__ = ("_latest", "_most", "_numbers", "_open")

    def __init__(self, most: int) -> None:
        self._most = most
        self._latest = 0
        self._open: dict[int, set[bytes]] = {}
        self._numbers: dict[bytes, int] = {}

    def add(self, ids: Sequence[bytes]) -> int:
        """Adds a batch and returns its number."""
        if len(self._open) >= self._most:
            self._forget(next(iter(self._open)))
        self._latest += 1
        self._open[self._latest] = set(ids)
        self._numbers.update(dict.fromkeys(ids, self._latest))
        return self._latest

    def answered(self, id_: bytes) -> int | None:
        """Handles an answer; returns the number of its batch if all calls are answered."""
        number = self._numbers.pop(id_, None)
        if number is None:
            return None
        calls = self._open[number]
        calls.discard(id_)
        if calls:
            return None
        del self._open[number]
        return number

    def _forget(self, number: int) -> None:
        for id_ in self._open.pop(number):
            if self._numbers.get(id_) == number:
                del self._numbers[id_]
