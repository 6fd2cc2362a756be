"""Finds the message that backends die of: suspicious messages are replayed one at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Protocol

from ...api import Close, EndMeaning
from ...pool.backends.backend_pool import PooledBackend
from .ledger import Ledger
from .session_sink import SessionSink

_SUSPICIOUS = 2  # after this many deaths during replays, a message is replayed alone


class Deaths:
    """Counts the deaths of backends while the oldest message of a ledger was in flight.

    Messages are delivered in order, so no younger message was in flight at more deaths.

    Args:
        ledger: the session's.
        max_replays: a message is poison after this many deaths while it alone was in flight.
    """

    __slots__ = ("_alone", "_ledger", "_max_replays", "_oldest", "_reached")

    def __init__(self, ledger: Ledger, max_replays: int) -> None:
        self._ledger = ledger
        self._max_replays = max_replays
        self._reached: list[int] = []  # at each death: how many messages had been given so far
        self._alone = 0  # deaths while one message alone was in flight
        self._oldest = -1  # which one that is: how many messages were settled before it

    def note(self, close: Close, *, alone: bool) -> None:
        """Counts the end of a connection if it is a death; call it before `Ledger.rewind`.

        Args:
            close: the end.
            alone: whether messages were sent one at a time.
        """
        if close.meaning is not EndMeaning.DEATH or not self._ledger.in_flight:
            return
        self._reached = [*self._reached[-_SUSPICIOUS:], self._ledger.given]
        if alone:
            self._alone = self._deaths_alone + 1
            self._oldest = self._ledger.settled_messages

    @property
    def is_suspicious(self) -> bool:
        """Whether the oldest message must be replayed alone."""
        settled = self._ledger.settled_messages
        during_replays = sum(reached > settled for reached in self._reached) - 1
        return during_replays >= _SUSPICIOUS

    @property
    def needs_lock(self) -> bool:
        """Whether the oldest message must be the only suspicious one in flight at its backend."""
        return self._deaths_alone >= min(1, self._max_replays - 1)

    @property
    def is_poison(self) -> bool:
        """Whether the oldest message must not be sent again."""
        return self._deaths_alone >= self._max_replays

    @property
    def _deaths_alone(self) -> int:
        return self._alone if self._oldest == self._ledger.settled_messages else 0


class CautiousReplay:
    """Replays one message at a time, until the next message is not suspicious.

    It sends nothing before the connection has lasted for a while, because a backend that accepts
    and drops connections does not die of a message.

    Args:
        ledger: the messages.
        deaths: says whether the next message is suspicious.
        sink: sends the messages to the backend that serves.
        proceed: called once, when the rest can be sent as usual.
        lock: shared by all sessions.
        pause: seconds for which the lock stays closed when the connection is lost; see PoisonLock.
    """

    __slots__ = ("_deaths", "_lasts", "_ledger", "_lock", "_pause", "_proceed", "_sink")

    def __init__(
        self,
        ledger: Ledger,
        deaths: Deaths,
        sink: SessionSink,
        proceed: Callable[[], None],
        lock: PoisonLock,
        pause: float,
    ) -> None:
        self._ledger = ledger
        self._deaths = deaths
        self._sink = sink
        self._proceed = proceed
        self._lock = lock
        self._pause = pause
        self._lasts = False

    def begin(self) -> None:
        """Begins to send: the connection has lasted for a while."""
        self._lasts = True
        self.go_on()

    def go_on(self) -> None:
        """Sends the next message if none is in flight; called whenever a message was settled."""
        if not self._lasts or self._ledger.in_flight:
            return
        message = next(self._ledger.ungiven(), None)
        if message is None or not self._deaths.is_suspicious:
            self._lock.release(self._sink.backend, self)
            self._proceed()
            return
        if not self._deaths.needs_lock:
            self._lock.release(self._sink.backend, self)
        elif not self._lock.acquire(self._sink.backend, self):
            return
        number = next(self._ledger.ungiven_numbers())
        self._ledger.gave_one()
        self._sink.give(message, number)

    def stop(self) -> None:
        """Stops sending: the connection is lost, or the session leaves it."""
        self._lasts = False
        self._lock.release(self._sink.backend, self, pause=self._pause)


class LockUser(Protocol):
    """A replay or a hydration that waits for the lock."""

    def go_on(self) -> None:
        """Tries again to take the lock; called when it is free."""


class PoisonLock:
    """Lets only one session at a time send a suspicious message to a backend.

    When a backend dies, all its sessions lose it. If suspicious messages of several sessions were
    in flight, it would be unknown which one has killed the backend.
    """

    def __init__(self) -> None:
        self._holders: dict[PooledBackend, LockUser] = {}
        # In the order of their arrival; to find one of thousands in a deque would take long.
        self._waiting: defaultdict[PooledBackend, OrderedDict[LockUser, None]] = defaultdict(
            OrderedDict
        )

    def acquire(self, backend: PooledBackend, user: LockUser) -> bool:
        """Takes the lock; False: it is taken, and `user.go_on` is called when it is free."""
        if self._holders.setdefault(backend, user) is user:
            return True
        self._waiting[backend].setdefault(user)
        return False

    def release(
        self, backend: PooledBackend, user: LockUser, *, pause: float | None = None
    ) -> None:
        """Gives the lock back, or waits for it no longer; else without effect.

        Args:
            backend: the backend for which the user has the lock or waits.
            user: as in `acquire`.
            pause: seconds before another user gets the lock. If the backend was lost, the others
                are about to lose their connections too.
        """
        waiting = self._waiting.get(backend)
        if waiting is not None:
            waiting.pop(user, None)
        if self._holders.get(backend) is user:
            if pause is None:
                self._pass_on(backend)
            else:
                asyncio.get_running_loop().call_later(pause, self._pass_on, backend)

    def _pass_on(self, backend: PooledBackend) -> None:
        del self._holders[backend]
        waiting = self._waiting.get(backend)
        while waiting and backend not in self._holders:
            waiting.popitem(last=False)[0].go_on()
        if not waiting:
            self._waiting.pop(backend, None)
