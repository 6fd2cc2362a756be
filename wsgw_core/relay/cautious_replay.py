"""A replay of messages that backends may have died of: one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..api import Message

if TYPE_CHECKING:
    from ..pool.backend_pool import PooledBackend
    from .ledger import Ledger
    from .poison import Deaths
    from .suspect_turns import SuspectTurns


class CautiousReplay:
    """Sends the next message when nothing is under way, as long as the next one is suspicious.

    Nothing is sent before the connection has lasted for a while: a backend that accepts and drops
    has not died of a message.

    Args:
        ledger: what to send.
        deaths: which messages are suspicious.
        give: gives the connection a message with its number.
        proceed: called once, when the rest can go as usual.
        turns: shared by all sessions.
        backend: which one it is.
        pause: seconds for which others wait when the connection is lost; see SuspectTurns.
    """

    __slots__ = (
        "_backend",
        "_deaths",
        "_give",
        "_ledger",
        "_pause",
        "_proceed",
        "_trusted",
        "_turns",
    )

    def __init__(
        self,
        ledger: Ledger,
        deaths: Deaths,
        give: Callable[[Message, int], None],
        proceed: Callable[[], None],
        turns: SuspectTurns,
        backend: PooledBackend,
        pause: float,
    ) -> None:
        self._ledger = ledger
        self._deaths = deaths
        self._give = give
        self._proceed = proceed
        self._turns = turns
        self._backend = backend
        self._pause = pause
        self._trusted = False

    def begin(self) -> None:
        """Note that the connection lasts."""
        self._trusted = True
        self.go_on()

    def go_on(self) -> None:
        """Send the next, if nothing is under way; called whenever something was settled."""
        if not self._trusted or self._ledger.under_way:
            return
        message = next(self._ledger.ungiven(), None)
        if message is None or not self._deaths.is_suspicious:
            self._turns.give_back(self._backend, self)
            self._proceed()
            return
        if not self._deaths.is_prime_suspect:
            self._turns.give_back(self._backend, self)
        elif not self._turns.take(self._backend, self):
            return
        number = next(self._ledger.ungiven_numbers())
        self._ledger.gave_one()
        self._give(message, number)

    def stop(self) -> None:
        """Note that the connection is lost, or left."""
        self._trusted = False
        self._turns.give_back(self._backend, self, pause=self._pause)
