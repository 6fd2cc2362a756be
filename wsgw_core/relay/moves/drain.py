"""Drains backends: has their sessions move to others, so that a backend can be stopped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

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
        backend: disabled already, with its earlier versions.
        pool: all backends.
        table: all sessions.
        clock: time and timers.
        rate: sessions per second.
    """

    def __init__(
        self,
        backend: PooledBackend,
        pool: BackendPool,
        table: SessionTable,
        clock: Clock,
        rate: float,
    ) -> None:
        self._backend = backend
        self._pool = pool
        self._table = table
        self._clock = clock
        self._pace = MovePace(rate)
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
        backend, serves = self._backend, self._pool.connections(self._backend) > 0
        if backend.enabled or (backend.removed and not serves):
            self._timer = None
            return
        if not serves and not self._has_reported:
            self._has_reported = True
            backend.events.publish(BackendDrained(backend.id))
        wait = _PAUSE
        if serves and self._pool.is_usable(backend.group):
            self._move_some()
            if self._round:
                wait = self._pace.step
        self._timer = self._clock.call_later(wait, self._go_on)

    def _move_some(self) -> None:
        """Goes on with a round of all sessions, or begins one."""
        if not self._round:
            versions = self._pool.versions(self._backend)
            self._round.extend(each for each in self._table if each.backend in versions)
        self._pace.begin_some(self._round, lambda session: session.move())


class Drains:
    """The drains of one gateway.

    Args:
        pool: all backends.
        table: all sessions.
        rate: returns how many sessions begin to move per second.
    """

    def __init__(self, pool: BackendPool, table: SessionTable, rate: Callable[[], float]) -> None:
        self._pool = pool
        self._table = table
        self._rate = rate
        self._running: dict[PooledBackend, Drain] = {}

    def begin(self, backend: PooledBackend) -> bool:
        """Disables a backend and has its sessions move to others; `call_off` undoes it.

        Returns:
            False if that is under way already.
        """
        self._running = {each: drain for each, drain in self._running.items() if not drain.is_over}
        if backend in self._running:
            return False
        for each in self._pool.versions(backend):
            each.enabled = False
            if (drain := self._running.pop(each, None)) is not None:
                drain.stop()
        loop = asyncio.get_running_loop()
        self._running[backend] = Drain(backend, self._pool, self._table, loop, self._rate())
        return True

    def call_off(self, backend: PooledBackend) -> None:
        """Enables a backend again, and lets its sessions stay, even those that wait to move."""
        staying = self._pool.versions(backend)
        for each in staying:
            each.enabled = True
        for session in self._table:
            if session.state is State.SETTLING and session.backend in staying:
                session.moves.call_off()

    def stop(self) -> None:
        """Lets the sessions of all backends stay that have not begun to move."""
        for drain in self._running.values():
            drain.stop()
