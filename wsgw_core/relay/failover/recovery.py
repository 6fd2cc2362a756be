"""Takes a session from a lost backend to one that lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from ...api import Close
from ...pool.backends.backend_pool import PooledBackend
from ...pool.dialling.backend_search import NoBackend
from ...pool.dialling.dial import Dialled
from ..all_sessions.session_context import SessionContext
from ..delivery.ledger import Ledger
from ..delivery.session_sink import SessionSink
from .failover import Failover
from .session_dials import SessionDials


class Recovery:
    """Looks for another backend, and watches whether its connection lasts.

    A backend has *proved itself* when it has acknowledged or sent something, or when its connection
    has lasted for `failover.stable`. Only a connection that lasts ends the failover: see Failover.

    Args:
        dials: dials the next backend.
        ledger: says how much is replayed, for the metrics.
        context: what all sessions share.

    Attributes:
        is_proved: whether the backend that serves has proved itself.
    """

    __slots__ = (
        "_backend",
        "_breach",
        "_context",
        "_counted",
        "_dials",
        "_failover",
        "_ledger",
        "_on_lasting",
        "_task",
        "_timer",
        "is_proved",
    )

    def __init__(self, dials: SessionDials, ledger: Ledger, context: SessionContext) -> None:
        self._dials = dials
        self._ledger = ledger
        self._context = context
        self.is_proved = False
        self._backend: PooledBackend | None = None
        self._breach: tuple[PooledBackend, str] | None = None  # the last breach of the protocol
        # Backends whose failure was counted since the last connection that lasted
        self._counted: tuple[PooledBackend, ...] = ()
        self._on_lasting: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failover: Failover | None = None
        self._task: asyncio.Task[None] | None = None

    def search(
        self,
        lost: PooledBackend,
        subprotocol: str | None,
        found: Callable[[PooledBackend, Dialled[SessionSink]], None],
        not_found: Callable[[Exception], None],
        *,
        by_choice: bool = False,
    ) -> None:
        """Looks for another backend, in a task of its own.

        Args:
            lost: the backend that was lost or left; it is tried last.
            subprotocol: the session's.
            found: called with the lost backend and the new connection.
            not_found: called with NoBackend, BackendDeclined, or what `found` has raised.
            by_choice: the session has left the backend, which may be in order. The search has a
                hold and backoff of its own, which do not count when the next backend is lost.
        """
        context = self._context
        now = context.clock.time()
        if by_choice:
            failover = Failover(context.failover, now, lost)
        elif self._failover is None:
            failover = self._failover = Failover(context.failover, now, lost)
        else:
            failover = self._failover
            failover.lost_again(lost, now)
        self._task = asyncio.get_running_loop().create_task(
            self._search(failover, subprotocol, found, not_found)
        )

    @property
    def must_still_prove(self) -> bool:
        """Whether the backend has followed a lost one and not proved itself yet."""
        return self._failover is not None and not self.is_proved

    def prepare(self) -> None:
        """Notes that another backend serves; it cannot prove itself before `watch`."""
        self.is_proved = False

    def watch(self, backend: PooledBackend, on_lasting: Callable[[], None]) -> None:
        """Watches whether a backend proves itself and its connection lasts.

        Args:
            backend: the backend that serves now.
            on_lasting: called when its connection has lasted.
        """
        self._backend = backend
        self._on_lasting = on_lasting
        self._timer = self._context.clock.call_later(self._context.failover.stable, self._lasts)

    def prove(self) -> None:
        """Notes that the backend has proved itself."""
        if self.is_proved or self._backend is None:
            return
        self.is_proved = True
        self._backend.proves()

    def progress(self) -> None:
        """Notes that the backend has acknowledged something: it has proved itself."""
        self.prove()
        if self._failover is not None:
            self._failover.progressed(self._context.clock.time())

    def judged(
        self, lost: PooledBackend, close: Close, *, provoked: bool, all_are_lost: bool
    ) -> Close:
        """Counts a failure of the backend, if the end is one; returns how the end counts.

        If two backends in turn break the protocol in the same way, the next one would do so too. So
        the second breach is returned as not abnormal.

        Args:
            lost: the backend, after `let_go`.
            close: the end of its connection.
            provoked: the end may be the backend's answer to a message of the session.
            all_are_lost: the backend has lost all its connections, which is counted elsewhere.
        """
        if close.abnormal and not (self.is_proved or all_are_lost):
            self._count_failure(lost, f"connection lost immediately: {close}", provoked=provoked)
        if close.breach and self._repeats_breach(lost, close.reason):
            return replace(close, abnormal=False)
        return close

    def _count_failure(self, lost: PooledBackend, reason: str, *, provoked: bool) -> None:
        """Counts a failure: once in each session, and no failure that a client can provoke."""
        is_news = lost not in self._counted or lost.breaker.on_probation
        counts = is_news and not (provoked or lost.proved)
        if counts and lost not in self._counted:
            self._counted += (lost,)
        lost.failed(self._context.clock.time(), reason, counts=counts)

    def _repeats_breach(self, lost: PooledBackend, breach: str) -> bool:
        """Notes a breach of the protocol; returns whether another backend's was the same before."""
        before, self._breach = self._breach, (lost, breach)
        return before is not None and before[0] is not lost and before[1] == breach

    def let_go(self) -> None:
        """Stops watching the backend: it is lost, or the session has left it."""
        if self._backend is not None and self.is_proved:
            self._backend.proved -= 1
        self._backend = self._on_lasting = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Stops watching and searching; none of the callbacks is called any more."""
        self.let_go()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _search(
        self,
        failover: Failover,
        subprotocol: str | None,
        found: Callable[[PooledBackend, Dialled[SessionSink]], None],
        not_found: Callable[[Exception], None],
    ) -> None:
        context = self._context
        try:
            dialled = await self._find(failover, subprotocol)
            self._task = None  # so that `found` cannot cancel it
            duration = context.clock.time() - failover.lost_at
            context.counters.failover_durations.observe(duration)
            context.counters.replayed.value += self._ledger.replayable
            found(failover.last, dialled)
        except Exception as error:  # noqa: BLE001 - any error must end the session
            self._task = None
            not_found(error)

    async def _find(self, failover: Failover, subprotocol: str | None) -> Dialled[SessionSink]:
        """Dials, in rounds, until a backend gives a connection.

        Raises:
            NoBackend: the hold is over.
            BackendDeclined: a backend has declined the client.
        """
        time, dialler = self._context.clock.time, self._context.dialler
        reason = "none found in time"
        has_waited = False
        while True:
            pause = 0.0 if has_waited else failover.pause(time())
            if pause:
                await asyncio.sleep(pause)
            if failover.over(time()):
                raise NoBackend(reason)
            try:
                return await self._dials.next(subprotocol, failover.last, failover.deadline)
            except NoBackend as error:
                reason = str(error)
                # If a backend is there, this wait ends at once, and the backoff applies.
                left = failover.left(time())
                has_waited = left > 0 and not error.local and await dialler.until_worth_while(left)
                if not has_waited:
                    failover.failed()

    def _lasts(self) -> None:
        self._failover = self._timer = None
        self._counted = ()
        self.prove()
        if self._on_lasting is not None:
            self._on_lasting()
