"""Drains backends: has their sessions move to others, so that a backend can be stopped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from ...api import Clock
from ...control.events import BackendDrained
from ...pool.backends.backend_pool import BackendPool, PooledBackend
from ..all_sessions.session_table import SessionTable
from ..session.session import Session
from ..session.session_state import State
from .move_pace import MovePace

_PAUSE = 1.0  # seconds after which sessions that could not move are tried again


class Drain:
    """Has one session of a backend after the other begin its planned move, at a steady rate.

    The drain lasts until it is stopped, the backend is enabled again, or the backend is removed and
    has no session left. Until then clients may still come whose dial was under way. No session
    moves while no other backend is usable.

    Args:
        backend: disabled already.
        table: all sessions.
        clock: time and timers.
        rate: sessions per second.
        others_usable: returns whether another backend could take a session now.
    """

    def __init__(
        self,
        backend: PooledBackend,
        table: SessionTable,
        clock: Clock,
        rate: float,
        *,
        others_usable: Callable[[], bool],
    ) -> None:
        self._backend = backend
        self._table = table
        self._clock = clock
        self._pace = MovePace(rate)
        self._others_usable = others_usable
        self._round: deque[Session] = deque()
        self._has_reported = False  # that the backend serves no session any more
        self._timer: asyncio.Handle | None = clock.call_soon(self._go_on)

    @property
    def is_over(self) -> bool:
        """Whether the drain was stopped, or the backend was enabled again."""
        if self._backend.enabled:
            self.stop()  # so that it does not go on if the backend is disabled again
        return self._timer is None

    def stop(self) -> None:
        """Lets the sessions stay that have not begun to move."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        if self._backend.enabled or (self._backend.removed and not self._backend.active):
            self._timer = None
            return
        if not self._backend.active and not self._has_reported:
            self._has_reported = True
            self._backend.events.publish(BackendDrained(self._backend.id))
        wait = _PAUSE
        if self._backend.active and self._others_usable():
            self._move_some()
            if self._round:
                wait = self._pace.step
        self._timer = self._clock.call_later(wait, self._go_on)

    def _move_some(self) -> None:
        """Goes on with a round of all sessions, or begins one."""
        if not self._round:
            self._round.extend(each for each in self._table if each.backend is self._backend)
        self._pace.begin_some(self._round, lambda session: session.move())


class Drains:
    """The drains of one gateway.

    Args:
        pool: all backends.
        table: all sessions.
        rate: returns how many sessions begin to move per second.
        earlier: returns a backend's earlier versions, from before a reload, that still have
            sessions.
    """

    def __init__(
        self,
        pool: BackendPool,
        table: SessionTable,
        rate: Callable[[], float],
        earlier: Callable[[PooledBackend], Iterable[PooledBackend]],
    ) -> None:
        self._pool = pool
        self._table = table
        self._rate = rate
        self._earlier = earlier
        self._running: dict[PooledBackend, Drain] = {}

    def begin(self, backend: PooledBackend) -> bool:
        """Disables a backend and has its sessions move to others; `call_off` undoes it.

        Returns:
            False if that is under way already.
        """
        self._running = {each: drain for each, drain in self._running.items() if not drain.is_over}
        begun = [self._begin(each) for each in (backend, *self._earlier(backend))]
        return any(begun)

    def call_off(self, backend: PooledBackend) -> None:
        """Enables a backend again, and lets its sessions stay, even those that wait to move."""
        staying = (backend, *self._earlier(backend))
        for each in staying:
            each.enabled = True
        for session in self._table:
            if session.state is State.SETTLING and session.backend in staying:
                session.moves.call_off()

    def _begin(self, backend: PooledBackend) -> bool:
        if backend in self._running:
            return False
        backend.enabled = False
        self._running[backend] = Drain(
            backend,
            self._table,
            asyncio.get_running_loop(),
            self._rate(),
            others_usable=lambda: self._pool.is_usable(backend.group),
        )
        return True

    def stop(self) -> None:
        """Lets the sessions of all backends stay that have not begun to move."""
        for drain in self._running.values():
            drain.stop()
