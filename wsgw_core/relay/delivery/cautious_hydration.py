"""Finds the session whose hydration backends die of: suspicious ones run one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...api import Clock, Close, EndMeaning

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from .poison import PoisonLock

_SUSPICIOUS = 2  # deaths during a hydration, from which on the next one runs alone


class HydrationDeaths:
    """The deaths of backends while they were prepared for one session, since one was prepared.

    Args:
        max_replays: deaths during a hydration that ran alone which make it poison.
    """

    __slots__ = ("_alone", "_ever", "_max_replays")

    def __init__(self, max_replays: int) -> None:
        self._max_replays = max_replays
        self._ever = self._alone = 0

    def note(self, close: Close, *, alone: bool) -> None:
        """Count the end of a backend that was told something, if the end is a death."""
        if close.meaning is EndMeaning.DEATH:
            self._ever += 1
            self._alone += alone

    def forget(self) -> None:
        """Note that a backend was prepared and lives."""
        self._ever = self._alone = 0

    @property
    def is_suspicious(self) -> bool:
        """Whether the next hydration is to run alone."""
        return self._ever >= _SUSPICIOUS

    @property
    def is_poison(self) -> bool:
        """Whether no other backend is to be prepared so."""
        return self._alone >= self._max_replays


class CautiousHydration:
    """Begins a hydration when no other suspicious session may kill the backend meanwhile.

    Nothing is sent before the connection has lasted for a while: a backend that accepts and drops
    has not died of a hydration.

    Args:
        begin: begins it; called once at most.
        lock: shared by all sessions.
        backend: which one is prepared.
        clock: time and timers.
        pause: seconds that the connection must last, and for which others wait when it is lost.
    """

    __slots__ = ("_backend", "_begin", "_lock", "_pause", "_timer")

    def __init__(
        self,
        begin: Callable[[], None],
        lock: PoisonLock,
        backend: PooledBackend,
        clock: Clock,
        pause: float,
    ) -> None:
        self._begin = begin
        self._lock = lock
        self._backend = backend
        self._pause = pause
        self._timer: asyncio.TimerHandle = clock.call_later(pause, self.go_on)

    def go_on(self) -> None:
        """Begin, if it is this session's turn; the lock calls again when it comes."""
        if self._lock.take(self._backend, self):
            self._begin()

    def done(self) -> None:
        """Let others have their turn: the backend is prepared, or will not be told anything."""
        self._timer.cancel()
        self._lock.give_back(self._backend, self)

    def stop(self) -> None:
        """Note that the connection is lost, or left."""
        self._timer.cancel()
        self._lock.give_back(self._backend, self, pause=self._pause)
