"""A connection that was dialled for a session while its backend still serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...pool.dialling.dial import Dialled

if TYPE_CHECKING:
    from ..delivery.ledger import Ledger
    from ..delivery.session_sink import SessionSink


@dataclass(frozen=True, slots=True)
class Replacement:
    """Not started yet.

    Attributes:
        dialled: the connection and its backend.
        replayed, seen_up_to: what the backend was told at the dial; see DialRequests.again.
    """

    dialled: Dialled[SessionSink]
    replayed: int
    seen_up_to: int

    def suits(self, ledger: Ledger) -> bool:
        """Return whether it lasts, and what it was told holds for what it will be sent.

        Args:
            ledger: the session's, after `rewind`.
        """
        backend = self.dialled.backend
        if backend.removed or backend.losses != self.dialled.losses:
            return False
        if not ledger.replayable:
            return True
        return ledger.seen_up_to == self.seen_up_to and ledger.replayable <= self.replayed

    def discard(self) -> None:
        """Drop it: it is not needed any more."""
        self.dialled.discard()
