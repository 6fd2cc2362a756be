"""Finds the message of which backends die."""

from __future__ import annotations

from ..api import Close, EndMeaning
from .ledger import Ledger

_SUSPICIOUS = 2  # deaths during a replay, from which on a message is replayed alone


class Deaths:
    """The deaths that the oldest message of a ledger was under way at.

    Messages are delivered in order; so no younger one has been under way at more of them.

    Args:
        ledger: the session's.
        max_replays: deaths at which a message was alone under way that make it poison.
    """

    __slots__ = ("_alone", "_ledger", "_max_replays", "_oldest", "_reached")

    def __init__(self, ledger: Ledger, max_replays: int) -> None:
        self._ledger = ledger
        self._max_replays = max_replays
        self._reached: list[int] = []  # for each death, how many messages ever had been given
        self._alone = 0  # deaths at which this message was alone under way:
        self._oldest = -1  # how many had been settled before it

    def note(self, close: Close, *, alone: bool) -> None:
        """Count the end of a backend, if it was one; call it before the ledger is rewound.

        Args:
            close: the end.
            alone: whether messages were sent one at a time.
        """
        if close.meaning is not EndMeaning.DEATH or not self._ledger.under_way:
            return
        self._reached = [*self._reached[-_SUSPICIOUS:], self._ledger.given]
        if alone:
            self._alone = self._deaths_alone + 1
            self._oldest = self._ledger.settled_messages

    @property
    def is_suspicious(self) -> bool:
        """Whether the oldest message is to be replayed alone."""
        settled = self._ledger.settled_messages
        during_replays = sum(reached > settled for reached in self._reached) - 1
        return during_replays >= _SUSPICIOUS

    @property
    def is_prime_suspect(self) -> bool:
        """Whether no other session's suspicious message may be under way beside it."""
        return self._deaths_alone >= min(1, self._max_replays - 1)

    @property
    def is_poison(self) -> bool:
        """Whether the oldest message is not to be sent again."""
        return self._deaths_alone >= self._max_replays

    @property
    def _deaths_alone(self) -> int:
        return self._alone if self._oldest == self._ledger.settled_messages else 0
