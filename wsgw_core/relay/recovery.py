"""How a session comes from a lost backend to one that lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..pool.dialler import Dialled
from .failover import Failover
from .link import Link

if TYPE_CHECKING:
    from ..pool.backend_pool import PooledBackend
    from .dial_requests import DialRequests
    from .environment import RelayEnvironment
    from .failover import Dial
    from .ledger import Ledger


class Recovery:
    """Looks for another backend, and watches whether the one that was found is worth its trust.

    A backend has proved itself when it has acknowledged or sent something, or its connection has
    lasted for `failover.stable`. Only the latter ends the failover: see there.

    Args:
        requests: what a backend is asked for.
        ledger: tells how much is replayed.
        environment: what all sessions share.

    Attributes:
        is_proved: whether the backend has proved itself since it was dialled.
    """

    __slots__ = (
        "_backend",
        "_blamed",
        "_breach",
        "_environment",
        "_failover",
        "_ledger",
        "_on_lasting",
        "_requests",
        "_task",
        "_timer",
        "is_proved",
    )

    def __init__(
        self, requests: DialRequests, ledger: Ledger, environment: RelayEnvironment
    ) -> None:
        self._requests = requests
        self._ledger = ledger
        self._environment = environment
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
        found: Callable[[PooledBackend, Dialled[Link]], None],
        not_found: Callable[[Exception], None],
    ) -> None:
        """Look for another backend, in a task of its own.

        Args:
            lost: the one that was lost; it is tried last.
            subprotocol: the session's.
            found: called with the lost backend and the new connection.
            not_found: called with a NoBackend, a BackendDeclined, or what `found` has raised.
        """
        environment = self._environment
        now = environment.clock.time()
        if self._failover is None:
            self._failover = Failover(environment.failover, now, lost)
        else:
            self._failover.lost_again(lost)
            self._failover.lost_at = now
        search = self._search(self._failover, partial(self._dial, subprotocol), found, not_found)
        self._task = asyncio.get_running_loop().create_task(search)

    def watch(self, backend: PooledBackend, on_lasting: Callable[[], None]) -> None:
        """Wait until a backend proves itself.

        Args:
            backend: the one that serves now.
            on_lasting: called when its connection has lasted.
        """
        self.is_proved = False
        self._backend = backend
        self._on_lasting = on_lasting
        self._timer = self._environment.clock.call_later(
            self._environment.failover.stable, self._lasts
        )

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
            self._failover.progressed(self._environment.clock.time())

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
        lost.failed(self._environment.clock.time(), reason, counts=counts)

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
        dial: Dial,
        found: Callable[[PooledBackend, Dialled[Link]], None],
        not_found: Callable[[Exception], None],
    ) -> None:
        environment = self._environment
        try:
            dialled = await failover.find(dial, environment.clock)
            self._task = None  # which must not be cancelled by what follows
            duration = environment.clock.time() - failover.lost_at
            environment.counters.failover_durations.observe(duration)
            environment.counters.replayed.value += self._ledger.replayable
            found(failover.last, dialled)
        except Exception as error:  # noqa: BLE001 - whatever it is, the session has to end
            self._task = None
            not_found(error)

    async def _dial(
        self, subprotocol: str | None, deadline: float | None, last: PooledBackend
    ) -> Dialled[Link]:
        environment = self._environment
        return await environment.dialler.dial(
            self._requests.again(
                subprotocol,
                self._ledger.replayable,
                seen_up_to=self._ledger.seen_up_to,
                reconnect_header=environment.reconnect_header,
            ),
            Link,
            timeout=environment.failover.dial_timeout,
            hedge_after=environment.failover.hedge_after,
            deadline=deadline,
            last=last,
            accepted=self._requests.acceptances.note,
        )

    def _lasts(self) -> None:
        self._failover = self._timer = None
        self._blamed = ()
        self.prove()
        if self._on_lasting is not None:
            self._on_lasting()
