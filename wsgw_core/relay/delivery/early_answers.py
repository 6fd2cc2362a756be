"""Answers that come before the backend's connection has reported their messages delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import islice

from ...api import Message, ReplyExpected


class EarlyAnswers:
    """Finds the message of an answer by its handle, among the entries of a ledger.

    A message's number is how many messages there were before it. It must stay the same: after a
    rewind of the ledger begin with a new object.
    """

    __slots__ = ("_answered", "_end", "_open")

    def __init__(self) -> None:
        self._end = 0  # all entries below this number are indexed
        self._open: dict[Hashable, int] = {}
        self._answered: set[int] = set()

    def index(self, entries: deque[Message], end: int) -> None:
        """Take note of the entries that were added since the last time.

        Args:
            entries: of the ledger.
            end: the number of the next message that will be added.
        """
        number = end
        # From the end: the middle of a deque is far from both.
        for message in islice(reversed(entries), min(end - self._end, len(entries))):
            number -= 1
            if isinstance(message, ReplyExpected):
                self._open[message.handle] = number
        self._end = end

    def add(self, handle: Hashable, given: int) -> None:
        """Note an answer; without effect if no indexed message below the number `given` has it."""
        number = self._open.get(handle)
        if number is not None and number < given:
            del self._open[handle]
            self._answered.add(number)

    def take(self, handle: Hashable, number: int) -> bool:
        """Forget a message that was delivered; tell whether it was answered before."""
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
