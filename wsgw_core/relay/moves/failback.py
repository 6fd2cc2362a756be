"""Sends sessions back to backends of a lower priority number when these are healthy again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ...api import OutOfResources
from ...pool.backends.health import probe_of
from ..all_sessions.session_table import SessionTable
from ..session.session_state import State
from .move_pace import MovePace

if TYPE_CHECKING:
    from ...config.upstream_options import UpstreamOptions
    from ...pool.backends.backend_pool import BackendPool, PooledBackend
    from ..session.session import Session

_LONGEST_PAUSE = 5.0  # seconds from one look to the next
_SHORTEST_PAUSE = 0.05
_LOOKS = 4  # while a backend must stay healthy, when that is short
_JITTER = 0.1  # so that many gateways do not ask in step


@dataclass(slots=True)
class _Standing:
    """Since when nothing speaks against a backend.

    Attributes:
        since: the clock's time.
        losses: the backend's, then.
        is_doubtful: it passes probes, but no dial has been answered since it was lost.
        is_told: the log says that sessions return.
    """

    since: float
    losses: int
    is_doubtful: bool
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class _Parking:
    """Since when a session was seen at its backend.

    Attributes:
        reconnects: the session's, then; another number means another connection.
        since: the clock's time.
    """

    reconnects: int
    since: float


class Failback:
    """Has sessions leave backends of a higher priority number as planned moves, at a steady rate.

    A backend is ready for them when it was healthy without a break for the configured time: it is
    enabled, passes a probe at every look, and no dial to it has failed. Probes are needed since it
    may be that nobody dials it. If it was tripped or away, the first session is a trial, and the
    others wait until the backend has proved itself. A session stays where it is if no such backend
    takes it, and is asked again later; see MoveRetries.

    Nothing is probed while no session could return, and nothing is done for a message.

    Args:
        pool: all backends.
        table: all sessions.
        rate: returns how many sessions begin to move each second.
        logger: told when sessions begin to return to a backend.
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
        self._standings: dict[PooledBackend, _Standing] = {}
        self._parked: dict[Session, _Parking] = {}
        self._trials: dict[str, Session] = {}  # the last one of each group
        self._task: asyncio.Task[None] | None = None

    def follow(self, options: UpstreamOptions) -> None:
        """Do as a configuration says, from now on; moves that have begun go on."""
        self._after, self._timeout = options.failback_after, options.health.timeout
        if not options.failback:
            self._end()
        elif self._task is None:
            self._pool.watch(self._changed)
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Let all sessions stay that have not begun to move."""
        if (task := self._end()) is not None:
            await asyncio.wait([task])

    def _end(self) -> asyncio.Task[None] | None:
        task, self._task = self._task, None
        if task is not None:
            self._pool.unwatch(self._changed)
            self._standings.clear()
            self._parked.clear()
            self._trials.clear()
            task.cancel()
        return task

    async def _run(self) -> None:
        while True:
            pause = max(min(self._after / _LOOKS, _LONGEST_PAUSE), _SHORTEST_PAUSE)
            pause *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
            self._look_for_parked()
            wanted = self._wanted()
            self._standings = {
                each: standing for each, standing in self._standings.items() if each in wanted
            }
            async with asyncio.TaskGroup() as probes:
                for backend in wanted:
                    probes.create_task(self._probe(backend))
                await self._send_back(pause)

    # Who could return, and where to

    def _look_for_parked(self) -> None:
        lowest: dict[str, int] = {}
        for each in self._pool.backends:
            lowest[each.group] = min(lowest.get(each.group, each.priority), each.priority)
        before, now = self._parked, asyncio.get_running_loop().time()
        self._parked = {}
        if all(each.priority == lowest[each.group] for each in self._pool.backends):
            return
        for session in self._table:
            backend = session.backend
            if backend is None or self._priority(backend) <= lowest.get(backend.group, 0):
                continue
            parking = before.get(session)
            if parking is None or parking.reconnects != session.reconnects:
                parking = _Parking(session.reconnects, now)
            self._parked[session] = parking

    def _priority(self, backend: PooledBackend) -> int:
        """Return the number of a backend; a reload that changed it has left its sessions there."""
        current = self._pool.find(backend.id)
        if current is not None and current.group == backend.group:
            return current.priority
        return backend.priority

    def _wanted(self) -> set[PooledBackend]:
        """Return the backends that sessions would rather have."""
        highest: dict[str, int] = {}
        for session in self._parked:
            if (backend := session.backend) is not None:
                number = highest.get(backend.group, 0)
                highest[backend.group] = max(number, self._priority(backend))
        return {each for each in self._pool.backends if each.priority < highest.get(each.group, 0)}

    # Whether a backend is healthy

    async def _probe(self, backend: PooledBackend) -> None:
        """Probe a backend, unless something else speaks against it, and note its standing."""
        if not self._is_eligible(backend):
            self._standings.pop(backend, None)
            return
        try:
            reason = await probe_of(backend, self._timeout, self._logger)
        except OutOfResources:  # says nothing of the backend
            return
        if reason is not None or not self._is_eligible(backend):
            self._standings.pop(backend, None)
        elif not self._still_stands(backend):
            now = asyncio.get_running_loop().time()
            doubtful = backend.absence.is_away or not backend.usable
            self._standings[backend] = _Standing(now, backend.losses, doubtful)

    def _is_eligible(self, backend: PooledBackend) -> bool:
        now = asyncio.get_running_loop().time()
        return backend.is_for_newcomers(now) and backend.writable and not backend.removed

    def _still_stands(self, backend: PooledBackend) -> bool:
        """Tell whether there was no break since the beginning of a backend's standing."""
        standing = self._standings.get(backend)
        if standing is None or standing.losses != backend.losses:
            return False
        is_good = backend.usable and not backend.absence.is_away
        return (is_good or standing.is_doubtful) and backend.breaker.failed_at <= standing.since

    def _changed(self, backend: PooledBackend) -> None:
        """Begin anew with a backend that is lost or was away; the end of a doubt is no break."""
        standing = self._standings.get(backend)
        if standing is not None and standing.is_doubtful and backend.usable:
            standing.is_doubtful = False
        else:
            self._standings.pop(backend, None)

    def _is_ready(self, backend: PooledBackend) -> bool:
        if not (self._is_eligible(backend) and self._still_stands(backend)):
            return False
        now = asyncio.get_running_loop().time()
        return now - self._standings[backend].since >= self._after

    # Moves

    async def _send_back(self, seconds: float) -> None:
        """Have sessions return for a while; those that are left have to wait for the next look."""
        clock = asyncio.get_running_loop()
        until = clock.time() + seconds
        oldest = clock.time() - self._after
        ready = any(map(self._is_ready, self._standings))
        waiting = deque(
            session for session, parking in self._parked.items() if parking.since <= oldest
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
            for each in self._standings
            if each.group == backend.group and each.priority < priority and self._is_ready(each)
        ]
        sure = [each for each in ready if self._is_sure(each)]
        if not ready or (not sure and self._is_tried(backend.group)):
            return False
        if not session.move(partial(self._is_better, backend.group, priority)):
            return False
        if not sure:
            self._trials[backend.group] = session
        for each in ready:
            self._tell(each)
        return True

    def _is_tried(self, group: str) -> bool:
        """Tell whether a session is on its way, or has come and found nothing out yet."""
        trial = self._trials.get(group)
        if trial is None or trial.state is State.ENDED:
            return False
        return trial.state is not State.RELAYING or not trial.recovery.is_proved

    def _is_better(self, group: str, priority: int, backend: PooledBackend) -> bool:
        return backend.group == group and backend.priority < priority and self._is_ready(backend)

    def _is_sure(self, backend: PooledBackend) -> bool:
        return not (self._standings[backend].is_doubtful or backend.breaker.on_probation)

    def _tell(self, backend: PooledBackend) -> None:
        standing = self._standings[backend]
        if not standing.is_told:
            standing.is_told = True
            self._logger.info(
                "backend %s: healthy for %g s, sessions return to it",
                backend.id,
                self._after,
                extra={"backend": backend.id},
            )
