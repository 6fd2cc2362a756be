"""Finds the message of which backends die."""

from __future__ import annotations

from ..api import Close
from ..websocket.close_codes import BAD_GATEWAY, GOING_AWAY, SERVICE_RESTART, TRY_AGAIN_LATER
from .ledger import Ledger

_SUSPICIOUS = 2  # deaths during a replay, from which on a message is replayed alone
# Whoever says so ends for a reason of its own.
_INNOCENT = (GOING_AWAY, SERVICE_RESTART, TRY_AGAIN_LATER, BAD_GATEWAY)


class Deaths:
    """The deaths that the oldest message of a ledger was under way at.

    Messages are delivered in order; so no younger one has been under way at more of them.

    Args:
        ledger: the session's.
        max_replays: deaths during a replay that a message alone under way is not replayed after.
    """

    __slots__ = ("_ledger", "_max_replays", "_reached")

    def __init__(self, ledger: Ledger, max_replays: int) -> None:
        self._ledger = ledger
        self._max_replays = max_replays
        self._reached: list[int] = []  # for each death, how many messages ever had been given

    def note(self, close: Close) -> None:
        """Count the end of a backend, if it was one; call it before the ledger is rewound."""
        if close.abnormal and close.code not in _INNOCENT and self._ledger.under_way:
            self._reached = [*self._reached[-self._max_replays :], self._ledger.given]

    @property
    def is_poison(self) -> bool:
        """Whether the oldest message has ended its last backend, if it was alone under way."""
        return self._during_replays >= self._max_replays

    @property
    def is_suspicious(self) -> bool:
        """Whether the oldest message is to be replayed alone."""
        return self._during_replays >= min(_SUSPICIOUS, self._max_replays - 1)

    @property
    def _during_replays(self) -> int:
        """The first death was no replay's; -1: there was none."""
        settled = self._ledger.settled_messages
        return sum(reached > settled for reached in self._reached) - 1
