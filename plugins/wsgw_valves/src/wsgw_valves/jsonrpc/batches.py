"""Batches of calls."""

from __future__ import annotations

from collections.abc import Sequence

from ..session_memory import SHARE

_MOST_CALLS = 10_000


class Batches:
    """Remembers the batch of each call, and notices when a batch is answered completely.

    Args:
        most: maximum open batches; above it the oldest are forgotten, and also above 10,000 calls
            in all of them.

    Attributes:
        bytes: of the ids of all calls that are not yet answered.
    """

    __slots__ = ("_calls", "_latest", "_most", "_numbers", "_open", "bytes")

    def __init__(self, most: int) -> None:
        self._most = most
        self._latest = 0
        self._calls = 0  # in all open ones, not yet answered
        self._open: dict[int, set[bytes]] = {}
        self._numbers: dict[bytes, int] = {}
        self.bytes = 0

    def add(self, ids: Sequence[bytes]) -> int | None:
        """Adds a batch and returns its number; None: it has too many calls and is not added."""
        if len(ids) > _MOST_CALLS:
            return None
        while len(self._open) >= self._most or self._calls + len(ids) > _MOST_CALLS:
            self._forget(next(iter(self._open)))
        self._latest += 1
        self._open[self._latest] = set(ids)
        self._calls += len(self._open[self._latest])
        self.bytes += _size(self._open[self._latest])
        self._numbers.update(dict.fromkeys(ids, self._latest))
        return self._latest

    def answered(self, id_: bytes) -> int | None:
        """Handles an answer; returns the number of its batch if all calls are answered."""
        number = self._numbers.pop(id_, None)
        if number is None:
            return None
        calls = self._open[number]
        calls.discard(id_)
        self._calls -= 1
        self.bytes -= len(id_) + SHARE
        if calls:
            return None
        del self._open[number]
        return number

    def _forget(self, number: int) -> None:
        forgotten = self._open.pop(number)
        self._calls -= len(forgotten)
        self.bytes -= _size(forgotten)
        for id_ in forgotten:
            if self._numbers.get(id_) == number:
                del self._numbers[id_]


def _size(ids: set[bytes]) -> int:
    return sum(map(len, ids)) + len(ids) * SHARE
