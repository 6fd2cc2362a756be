"""Finds the moment when nothing is in flight between a client and its backend."""

from __future__ import annotations

from ..delivery.ledger import Ledger
from ..delivery.traffic_account import TrafficAccount

_ANSWERS_FOR = 10  # times the quiet time


class QuietCheck:
    """Tells when a session is quiet, from counts that the ledger and the account keep anyway.

    A session is quiet when the backend has acknowledged everything and no message has come from
    either side for `quiet` seconds. A message of the backend may be an answer, which the move must
    wait for, or pushed, which may never stop. So messages of the backend no longer matter once the
    client has been silent for ten times `quiet`.

    Args:
        ledger, account: the session's.
        quiet: in seconds.
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
        """Whether the backend has acknowledged everything that it was sent."""
        return not self._ledger.in_flight

    def look(self, now: float) -> bool:
        """Returns whether the session is quiet; call it again and again, some time apart."""
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
        """Returns how many messages the backend was sent, has acknowledged, and has sent itself."""
        ledger = self._ledger
        return ledger.given, ledger.settled_messages, self._account.messages_sent
