"""When a session says nothing that its backend had still to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..delivery.ledger import Ledger
    from ..delivery.traffic_account import TrafficAccount

_ANSWERS_FOR = 10  # times the quiet time


class Stillness:
    """Looks every now and then at counts that are kept anyway: no message is looked at.

    What the backend says may be an answer to the client, which is waited for, or something that the
    backend pushes by itself, which is not: it may never stop. So it counts only until the client
    has been silent for ten times as long.

    Args:
        ledger, account: the session's.
        quiet: seconds without anything that counts, after which the session is still.
        now: the clock's time.
    """

    __slots__ = ("_account", "_ledger", "_quiet", "_said_at", "_seen", "_settled_at", "_spoke_at")

    def __init__(self, ledger: Ledger, account: TrafficAccount, quiet: float, now: float) -> None:
        self._ledger = ledger
        self._account = account
        self._quiet = quiet
        self._seen = self._counts()
        self._spoke_at = self._settled_at = self._said_at = now

    @property
    def all_is_delivered(self) -> bool:
        """Whether the backend has everything that it was given."""
        return not self._ledger.under_way

    def look(self, now: float) -> bool:
        """Return whether everything is delivered, and nothing that counts has come of late."""
        before, self._seen = self._seen, self._counts()
        if self._seen[0] != before[0]:
            self._spoke_at = now
        if self._seen[1] != before[1]:
            self._settled_at = now
        if self._seen[2] != before[2]:
            self._said_at = now
        quiet = self._quiet
        if not self.all_is_delivered or now - max(self._spoke_at, self._settled_at) < quiet:
            return False
        return now - self._said_at >= quiet or now - self._spoke_at >= _ANSWERS_FOR * quiet

    def _counts(self) -> tuple[int, int, int]:
        """Return how many messages the backend was given, has delivered, and has sent."""
        ledger = self._ledger
        return ledger.given, ledger.settled_messages, self._account.messages_sent
