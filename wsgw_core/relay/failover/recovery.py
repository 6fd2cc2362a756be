"""How a session comes from a lost backend to one that lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...pool.dialling.backend_search import NoBackend
from .failover import Failover

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from ...pool.dialling.dial import Dialled
    from ..all_sessions.session_context import SessionContext
    from ..delivery.ledger import Ledger
    from ..delivery.session_sink import SessionSink
    from .session_dials import SessionDials


class Recovery:
    """Looks for another backend, and watches whether the one that was found is worth its trust.

    A backend has proved itself when it has acknowledged or sent something, or its connection has
    lasted for `failover.stable`. Only the latter ends the failover: see there.

    Args:
        dials: dials the next backend.
        ledger: tells how much is replayed.
        context: what all sessions share.

    Attributes:
        is_proved: whether the backend has proved itself since it was dialled.
    """

    __slots__ = (
        "_backend",
        "_blamed",
        "_breach",
        "_context",
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
        self._breach: tuple[PooledBackend, str] | None = None  # the last one
        self._blamed: tuple[PooledBackend, ...] = ()  # since a connection has lasted
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
        """Look for another backend, in a task of its own.

        Args:
            lost: the one that was lost; it is tried last.
            subprotocol: the session's.
            found: called with the lost backend and the new connection.
            not_found: called with a NoBackend, a BackendDeclined, or what `found` has raised.
            by_choice: the session has left the backend, which may be as good as ever: that counts
                for nothing when the next one is lost.
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
        """Whether the backend follows one that was lost, and has not proved itself."""
        return self._failover is not None and not self.is_proved

    def prepare(self) -> None:
        """Note that another backend serves, which cannot prove itself before it is watched."""
        self.is_proved = False

    def watch(self, backend: PooledBackend, on_lasting: Callable[[], None]) -> None:
        """Wait until a backend proves itself.

        Args:
            backend: the one that serves now.
            on_lasting: called when its connection has lasted.
        """
        self._backend = backend
        self._on_lasting = on_lasting
        self._timer = self._context.clock.call_later(self._context.failover.stable, self._lasts)

    def prove(self) -> None:
        """Trust the backend: it has acknowledged or sent something, or its connection lasts."""
        if self.is_proved or self._backend is None:
            return
        self.is_proved = True
        self._backend.proves()

    def progress(self) -> None:
        """Note that the backend has acknowledged something."""
        self.prove()
        if self._failover is not None:
            self._failover.progressed(self._context.clock.time())

    def was_broken_so(self, lost: PooledBackend, breach: str) -> bool:
        """Note a breach of the protocol; return whether another backend's last one was the same."""
        before, self._breach = self._breach, (lost, breach)
        return before is not None and before[0] is not lost and before[1] == breach

    def blame(self, lost: PooledBackend, reason: str, *, provoked: bool) -> None:
        """Count the loss of a backend before it had proved itself.

        Args:
            lost: the backend, of which `let_go` was called.
            reason: for the log.
            provoked: whether the loss may be its answer to what the session gave it.
        """
        is_news = lost not in self._blamed or lost.breaker.on_probation
        counts = is_news and not (provoked or lost.proved)
        if counts and lost not in self._blamed:
            self._blamed += (lost,)
        lost.failed(self._context.clock.time(), reason, counts=counts)

    def let_go(self) -> None:
        """Watch the backend no longer."""
        if self._backend is not None and self.is_proved:
            self._backend.proved -= 1
        self._backend = self._on_lasting = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Watch and look no further: none of the functions is called any more."""
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
            self._task = None  # which must not be cancelled by what follows
            duration = context.clock.time() - failover.lost_at
            context.counters.failover_durations.observe(duration)
            context.counters.replayed.value += self._ledger.replayable
            found(failover.last, dialled)
        except Exception as error:  # noqa: BLE001 - whatever it is, the session has to end
            self._task = None
            not_found(error)

    async def _find(self, failover: Failover, subprotocol: str | None) -> Dialled[SessionSink]:
        """Dial, in rounds, until a backend is found.

        Raises:
            NoBackend: the hold is over.
            BackendDeclined: a backend does not want this client.
        """
        time, dialler = self._context.clock.time, self._context.dialler
        reason = "none in the time that was left"
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
                # Where a backend is there, the wait is over at once: then it is for us to wait.
                left = failover.left(time())
                has_waited = left > 0 and not error.local and await dialler.until_worth_while(left)
                if not has_waited:
                    failover.failed()

    def _lasts(self) -> None:
        self._failover = self._timer = None
        self._blamed = ()
        self.prove()
        if self._on_lasting is not None:
            self._on_lasting()
