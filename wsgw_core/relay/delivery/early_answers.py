"""Remembers answers that come before the connection has reported their messages delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import islice

from ...api import Message, ReplyExpected


class EarlyAnswers:
    """Finds the ledger's entry for an answer by its handle.

    Here an entry's number is how many messages there were before it. The numbers must not change,
    so use a new object after each rewind of the ledger.
    """

    __slots__ = ("_answered", "_end", "_open")

    def __init__(self) -> None:
        self._end = 0  # the entries below this number are indexed
        self._open: dict[Hashable, int] = {}
        self._answered: set[int] = set()

    def index(self, entries: deque[Message], end: int) -> None:
        """Indexes the entries that were added since the last call.

        Args:
            entries: the ledger's.
            end: the number that the next message will get.
        """
        number = end
        # From the end, because access to the middle of a deque is slow.
        for message in islice(reversed(entries), min(end - self._end, len(entries))):
            number -= 1
            if isinstance(message, ReplyExpected):
                self._open[message.handle] = number
        self._end = end

    def add(self, handle: Hashable, given: int) -> None:
        """Notes an answer; no effect unless an indexed message below `given` has the handle."""
        number = self._open.get(handle)
        if number is not None and number < given:
            del self._open[handle]
            self._answered.add(number)

    def take(self, handle: Hashable, number: int) -> bool:
        """Forgets a message, because it was delivered; returns whether it was answered before."""
        if number in self._answered:
            self._answered.remove(number)
            return True
        if self._open.get(handle) == number:
            del self._open[handle]
        return False

    def __contains__(self, number: int) -> bool:
        return number in self._answered

    def __bool__(self) -> bool:
        return bool(self._answered)
