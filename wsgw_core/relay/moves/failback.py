"""Has sessions return to backends of a lower priority number when these are healthy again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...api import OutOfResources
from ...config.upstream_options import UpstreamOptions
from ...pool.backends.backend_pool import BackendPool, PooledBackend
from ...pool.backends.health import probe_of
from ..all_sessions.session_table import SessionTable
from ..session.session import Session
from ..session.session_state import State
from .move_pace import MovePace

_LONGEST_PAUSE = 5.0  # seconds from one probe of a backend to the next
_SHORTEST_PAUSE = 0.05
_PROBES = 4  # at least so many while a backend must stay healthy
_MOST_DOUBLINGS = 6  # of the time after which a session may return
_JITTER = 0.1  # so that many gateways do not probe at the same time


@dataclass(slots=True)
class _HealthyTime:
    """How long a backend has been healthy.

    Attributes:
        since: the clock's time.
        losses: the backend's number of losses then.
        is_doubtful: the backend passes probes, but no dial has been answered since its loss.
        is_logged: the log says that sessions return to it.
    """

    since: float
    losses: int
    is_doubtful: bool
    is_logged: bool = False


@dataclass(frozen=True, slots=True)
class _Parking:
    """How long a session has been at its present backend.

    Attributes:
        reconnects: the session's number then; another number means another connection.
        since: the clock's time.
        failed_hydrations: the session's number of failed hydrations then.
        returns: how many returns in a row have ended with a failed hydration.
    """

    reconnects: int
    since: float
    failed_hydrations: int
    returns: int = 0

    def due(self, after: float) -> float:
        """Returns the clock's time from which on the session may return."""
        return self.since + after * (1 << min(self.returns, _MOST_DOUBLINGS))


class Failback:
    """Moves sessions back to preferred backends, those of a lower priority number.

    A preferred backend is ready when it has been healthy without a break for `failback-after`: it
    is enabled, passes every probe, and no dial to it has failed. The probes are needed because
    possibly no session dials it. If its breaker had tripped, or it was away, one session moves
    first as a trial; the others wait until the backend has proved itself. If no preferred backend
    takes a session, it stays, and tries again later; see MoveRetries. After a return that has ended
    with a failed hydration, it stays twice as long as before.

    While no session could return, nothing is probed. Messages cost nothing here.

    Args:
        pool: all backends.
        table: all sessions.
        rate: returns how many sessions begin to move per second.
        logger: says when sessions begin to return to a backend.
    """

    def __init__(
        self,
        pool: BackendPool,
        table: SessionTable,
        rate: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._pool = pool
        self._table = table
        self._rate = rate
        self._logger = logger
        self._after = 0.0
        self._timeout = 0.0
        self._healthy: dict[PooledBackend, _HealthyTime] = {}
        self._parked: dict[Session, _Parking] = {}
        self._trials: dict[str, Session] = {}  # the last one of each group
        self._task: asyncio.Task[None] | None = None

    def follow(self, options: UpstreamOptions) -> None:
        """Takes over the options of a configuration; moves that have begun go on."""
        self._after, self._timeout = options.failback_after, options.health.timeout
        if not options.failback:
            self._end()
        elif self._task is None:
            self._pool.watch(self._changed)
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stops; sessions that have not begun to move stay."""
        if (task := self._end()) is not None:
            await asyncio.wait([task])

    def _end(self) -> asyncio.Task[None] | None:
        task, self._task = self._task, None
        if task is not None:
            self._pool.unwatch(self._changed)
            self._healthy.clear()
            self._parked.clear()
            self._trials.clear()
            task.cancel()
        return task

    async def _run(self) -> None:
        while True:
            pause = max(min(self._after / _PROBES, _LONGEST_PAUSE), _SHORTEST_PAUSE)
            pause *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
            self._find_parked()
            wanted = self._wanted()
            self._healthy = {
                each: healthy for each, healthy in self._healthy.items() if each in wanted
            }
            async with asyncio.TaskGroup() as probes:
                for backend in wanted:
                    probes.create_task(self._probe(backend))
                await self._move_some(pause)

    # Which sessions could return, and where to

    def _find_parked(self) -> None:
        lowest: dict[str, int] = {}
        for each in self._pool.backends:
            lowest[each.group] = min(lowest.get(each.group, each.priority), each.priority)
        before, now = self._parked, asyncio.get_running_loop().time()
        self._parked = {}
        if all(each.priority == lowest[each.group] for each in self._pool.backends):
            return
        for session in self._table:
            backend, parking = session.backend, before.get(session)
            if parking is not None and (backend is None or session.is_hydrating):
                self._parked[session] = parking  # until it is known how its return ends
            elif backend is not None and self._priority(backend) > lowest.get(backend.group, 0):
                self._parked[session] = _parked_at(session, parking, now)

    def _priority(self, backend: PooledBackend) -> int:
        """Returns a backend's priority number, the current one if a reload has replaced it."""
        current = self._pool.find(backend.id)
        if current is not None and current.group == backend.group:
            return current.priority
        return backend.priority

    def _wanted(self) -> set[PooledBackend]:
        """Returns the backends that are preferred to those of some session."""
        highest: dict[str, int] = {}
        for session in self._parked:
            if (backend := session.backend) is not None:
                number = highest.get(backend.group, 0)
                highest[backend.group] = max(number, self._priority(backend))
        return {each for each in self._pool.backends if each.priority < highest.get(each.group, 0)}

    # Whether a backend is healthy

    async def _probe(self, backend: PooledBackend) -> None:
        """Probes a backend if it is eligible, and notes since when it is healthy."""
        if not self._is_eligible(backend):
            self._healthy.pop(backend, None)
            return
        try:
            reason = await probe_of(backend, self._timeout, self._logger)
        except OutOfResources:  # says nothing about the backend
            return
        if reason is not None or not self._is_eligible(backend):
            self._healthy.pop(backend, None)
        elif not self._is_still_healthy(backend):
            now = asyncio.get_running_loop().time()
            doubtful = backend.absence.is_away or not backend.usable
            self._healthy[backend] = _HealthyTime(now, backend.losses, doubtful)

    def _is_eligible(self, backend: PooledBackend) -> bool:
        now = asyncio.get_running_loop().time()
        return backend.is_for_newcomers(now) and backend.writable and not backend.removed

    def _is_still_healthy(self, backend: PooledBackend) -> bool:
        """Returns whether a backend has been healthy without a break."""
        healthy = self._healthy.get(backend)
        if healthy is None or healthy.losses != backend.losses:
            return False
        is_good = backend.usable and not backend.absence.is_away
        return (is_good or healthy.is_doubtful) and backend.breaker.failed_at <= healthy.since

    def _changed(self, backend: PooledBackend) -> None:
        """Restarts the time of a backend that was lost or away; the end of a doubt is no break."""
        healthy = self._healthy.get(backend)
        if healthy is not None and healthy.is_doubtful and backend.usable:
            healthy.is_doubtful = False
        else:
            self._healthy.pop(backend, None)

    def _is_ready(self, backend: PooledBackend) -> bool:
        if not (self._is_eligible(backend) and self._is_still_healthy(backend)):
            return False
        now = asyncio.get_running_loop().time()
        return now - self._healthy[backend].since >= self._after

    # Moves

    async def _move_some(self, seconds: float) -> None:
        """Has sessions return for some seconds; the rest waits for the next round."""
        clock = asyncio.get_running_loop()
        until = clock.time() + seconds
        now = clock.time()
        ready = any(map(self._is_ready, self._healthy))
        waiting = deque(
            session for session, parking in self._parked.items() if parking.due(self._after) <= now
        )
        pace = MovePace(self._rate())
        while ready and waiting and clock.time() < until:
            pace.begin_some(waiting, self._move_back)
            await asyncio.sleep(pace.step)
        await asyncio.sleep(max(0.0, until - clock.time()))

    def _move_back(self, session: Session) -> bool:
        backend, parking = session.backend, self._parked[session]
        if backend is None or session.reconnects != parking.reconnects:
            return False
        priority = self._priority(backend)
        ready = [
            each
            for each in self._healthy
            if each.group == backend.group and each.priority < priority and self._is_ready(each)
        ]
        sure = [each for each in ready if self._is_sure(each)]
        if not ready or (not sure and self._is_on_trial(backend.group)):
            return False
        if not session.move(partial(self._is_better, backend.group, priority)):
            return False
        if not sure:
            self._trials[backend.group] = session
        for each in ready:
            self._log_return(each)
        return True

    def _is_on_trial(self, group: str) -> bool:
        """Returns whether a trial session is moving, or its backend has not proved itself yet."""
        trial = self._trials.get(group)
        if trial is None or trial.state is State.ENDED:
            return False
        return trial.state is not State.RELAYING or not trial.recovery.is_proved

    def _is_better(self, group: str, priority: int, backend: PooledBackend) -> bool:
        return backend.group == group and backend.priority < priority and self._is_ready(backend)

    def _is_sure(self, backend: PooledBackend) -> bool:
        return not (self._healthy[backend].is_doubtful or backend.breaker.on_probation)

    def _log_return(self, backend: PooledBackend) -> None:
        healthy = self._healthy[backend]
        if not healthy.is_logged:
            healthy.is_logged = True
            self._logger.info(
                "backend %s: healthy for %g s, sessions return to it",
                backend.id,
                self._after,
                extra={"backend": backend.id},
            )


def _parked_at(session: Session, before: _Parking | None, now: float) -> _Parking:
    """Returns how long a session has been at its backend, given what was known before."""
    failed = session.backend_side.failed_hydrations
    if before is None:
        return _Parking(session.reconnects, now, failed)
    if before.reconnects == session.reconnects:
        return before
    returns = before.returns + 1 if failed > before.failed_hydrations else 0
    return _Parking(session.reconnects, now, failed, returns)
