"""A connection that was dialled for a session while another backend still serves."""

from __future__ import annotations

from dataclasses import dataclass

from ...pool.dialling.dial import Dialled
from ..delivery.ledger import Ledger
from ..delivery.session_sink import SessionSink


@dataclass(frozen=True, slots=True)
class Replacement:
    """The next connection of a session, not started yet.

    Attributes:
        dialled: the connection and its backend.
        replayed, seen_up_to: as in the dial's request; see DialRequests.again.
    """

    dialled: Dialled[SessionSink]
    replayed: int
    seen_up_to: int

    def suits(self, ledger: Ledger) -> bool:
        """Returns whether the connection is alive and its request is still true.

        Args:
            ledger: the session's, after `rewind`.
        """
        backend = self.dialled.backend
        if backend.removed or backend.losses != self.dialled.losses:
            return False
        if not ledger.replayable:
            return True
        return ledger.seen_up_to == self.seen_up_to and ledger.replayable <= self.replayed
