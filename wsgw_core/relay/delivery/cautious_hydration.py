"""Finds the session whose hydration backends die of: suspicious hydrations run one at a time."""

from __future__ import annotations

import asyncio

from ...api import Clock, Close, EndMeaning
from .poison import PoisonLock
from .session_sink import SessionSink

_SUSPICIOUS = 2  # after this many deaths during hydrations, the next one runs alone


class HydrationDeaths:
    """Counts the deaths of backends during the hydrations of one session.

    Args:
        max_replays: the hydration is poison after this many deaths while it ran alone.
    """

    __slots__ = ("_alone", "_ever", "_max_replays")

    def __init__(self, max_replays: int) -> None:
        self._max_replays = max_replays
        self._ever = self._alone = 0

    def note(self, close: Close, *, alone: bool) -> None:
        """Counts the end of a connection that got a hydration message, if the end is a death."""
        if close.meaning is EndMeaning.DEATH:
            self._ever += 1
            self._alone += alone

    @property
    def is_suspicious(self) -> bool:
        """Whether the next hydration must run alone."""
        return self._ever >= _SUSPICIOUS

    @property
    def is_poison(self) -> bool:
        """Whether no other backend must be hydrated so."""
        return self._alone >= self._max_replays


class CautiousHydration:
    """Begins a suspicious hydration when it has the poison lock of its backend.

    It sends nothing before the connection has lasted for a while, because a backend that accepts
    and drops connections does not die of a hydration.

    Args:
        sink: the sink of the connection; begins the hydration.
        lock: shared by all sessions.
        clock: time and timers.
        pause: seconds that the connection must last, and for which the lock stays closed when it is
            lost; see PoisonLock.
    """

    __slots__ = ("_lock", "_pause", "_sink", "_timer")

    def __init__(self, sink: SessionSink, lock: PoisonLock, clock: Clock, pause: float) -> None:
        self._sink = sink
        self._lock = lock
        self._pause = pause
        self._timer: asyncio.TimerHandle = clock.call_later(pause, self.go_on)

    def go_on(self) -> None:
        """Begins the hydration if the lock is free; the lock calls this again when it is."""
        if self._lock.acquire(self._sink.backend, self):
            self._sink.begin_hydration()

    def done(self) -> None:
        """Releases the lock: the backend is hydrated, or gets no hydration message."""
        self._timer.cancel()
        self._lock.release(self._sink.backend, self)

    def stop(self) -> None:
        """Stops: the connection is lost, or the session leaves it."""
        self._timer.cancel()
        self._lock.release(self._sink.backend, self, pause=self._pause)
