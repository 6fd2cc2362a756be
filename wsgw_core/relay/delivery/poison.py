"""Finds the message of which backends die: what is suspected is replayed alone, one at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...api import Close, EndMeaning, Message
from .ledger import Ledger

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend

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
        pause: seconds for which others wait when the connection is lost; see PoisonLock.
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
        turns: PoisonLock,
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


class Suspect(Protocol):
    """What waits for the lock."""

    def go_on(self) -> None:
        """Try again to take it; called when the turn has come."""
        ...


class PoisonLock:
    """Lets one suspicious message be under way at a backend, whichever session's it is.

    All sessions of a backend lose it together. If the messages of several were under way, nobody
    could tell which of them it has died of.
    """

    def __init__(self) -> None:
        self._now: dict[PooledBackend, Suspect] = {}
        # In the order of their arrival; a deque would take long to find one of thousands.
        self._waiting: defaultdict[PooledBackend, OrderedDict[Suspect, None]] = defaultdict(
            OrderedDict
        )

    def take(self, backend: PooledBackend, suspect: Suspect) -> bool:
        """Take the turn; False: it is another's, and `suspect.go_on` is called when it comes."""
        if self._now.setdefault(backend, suspect) is suspect:
            return True
        self._waiting[backend].setdefault(suspect)
        return False

    def give_back(
        self, backend: PooledBackend, suspect: Suspect, *, pause: float | None = None
    ) -> None:
        """Pass the turn on, or wait for it no longer; without effect for whoever does neither.

        Args:
            backend: where it is.
            suspect: whose turn it is.
            pause: seconds for which nobody gets the turn, when the backend was lost: the others are
                about to lose theirs.
        """
        waiting = self._waiting.get(backend)
        if waiting is not None:
            waiting.pop(suspect, None)
        if self._now.get(backend) is suspect:
            if pause is None:
                self._pass_on(backend)
            else:
                asyncio.get_running_loop().call_later(pause, self._pass_on, backend)

    def _pass_on(self, backend: PooledBackend) -> None:
        del self._now[backend]
        waiting = self._waiting.get(backend)
        while waiting and backend not in self._now:
            waiting.popitem(last=False)[0].go_on()
        if not waiting:
            self._waiting.pop(backend, None)
