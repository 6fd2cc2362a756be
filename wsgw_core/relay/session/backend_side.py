"""Connects a session to the backend that serves, and releases it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...api import Close, CloseCause, CloseCode, CloseSession, Message
from ..delivery.cautious_hydration import CautiousHydration, HydrationDeaths
from ..delivery.hydration import HydrationRun
from ..delivery.read_pauses import PauseReason
from ..valves.session_valves import NoValves

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from ...pool.dialling.dial import Dialled
    from ..all_sessions.session_context import SessionContext
    from ..client.client_side import ClientSide
    from ..delivery.ledger import Ledger
    from ..delivery.outbox import Outbox
    from ..delivery.session_sink import SessionSink
    from ..delivery.traffic_account import TrafficAccount
    from ..failover.recovery import Recovery
    from .session import Session


class BackendSide:
    """Connects client, outbox and account to one backend after the other.

    Args:
        client, outbox, ledger, account: the session's.
        recovery: watches whether the backend's connection lasts.
        context: what all sessions share.

    Attributes:
        sink: the sink of the connection to the backend that serves; None: there is no backend.
        failed_hydrations: how many connections have ended during a hydration.
    """

    __slots__ = (
        "_account",
        "_cautious",
        "_client",
        "_context",
        "_deaths",
        "_ledger",
        "_outbox",
        "_recovery",
        "failed_hydrations",
        "sink",
    )

    def __init__(
        self,
        client: ClientSide,
        outbox: Outbox,
        ledger: Ledger,
        account: TrafficAccount,
        recovery: Recovery,
        context: SessionContext,
    ) -> None:
        self._client = client
        self._outbox = outbox
        self._ledger = ledger
        self._account = account
        self._recovery = recovery
        self._context = context
        self.sink: SessionSink | None = None
        self._deaths: HydrationDeaths | None = None  # since a backend died of a hydration
        self._cautious: CautiousHydration | None = None
        self.failed_hydrations = 0

    @property
    def serving(self) -> SessionSink:
        """The sink, when there must be one."""
        assert self.sink is not None  # noqa: S101 - for the type checker
        return self.sink

    @property
    def backend(self) -> PooledBackend | None:
        """The backend that serves."""
        return self.sink.backend if self.sink is not None else None

    @property
    def is_lost(self) -> bool:
        """Whether the backend has lost all its connections, this one included."""
        return self.sink is not None and self.sink.is_lost

    @property
    def is_hydrating(self) -> bool:
        """Whether the backend is being hydrated."""
        return self.sink is not None and self.sink.hydration is not None

    @property
    def has_refused(self) -> bool:
        """Whether the backend has refused its hydration."""
        hydration = None if self.sink is None else self.sink.hydration
        return hydration is not None and hydration.refusal is not None

    def judged(self, close: Close) -> Close:
        """Returns how the end of a connection counts: as it is, or as a refused hydration."""
        hydration = self.serving.hydration
        return close if hydration is None else hydration.judged(close)

    def may_have_provoked(self, close: Close) -> bool:
        """Returns whether the backend may have ended because of what the session has sent."""
        if self.has_refused:
            return True
        was_given_something = self.serving.was_hydrated or self._ledger.in_flight > 0
        return was_given_something and close.code != CloseCode.LOST

    @property
    def has_poisonous_hydration(self) -> bool:
        """Whether several backends have died of the session's hydration."""
        return self._deaths is not None and self._deaths.is_poison

    def ended(self, close: Close) -> None:
        """Notes how the backend's connection has ended; call it before `let_go`."""
        sink = self.serving
        if sink.hydration is None:
            return
        self.failed_hydrations += 1
        self._context.counters.hydrations_failed.value += 1
        self._context.counters.hydrations_refused.value += self.has_refused
        if not sink.was_hydrated or sink.hydration.is_over:
            return
        if self._deaths is None:
            self._deaths = HydrationDeaths(self._context.failover.max_replays)
        self._deaths.note(close, alone=self._cautious is not None)

    def take(self, session: Session, dialled: Dialled[SessionSink]) -> None:
        """Takes over a connection that is not started yet.

        Args:
            session: its `backend_closed` is called with the connection's end.
            dialled: the connection and its backend.
        """
        self.sink = dialled.sink
        self.sink.open(dialled, self._outbox, session.backend_closed)
        self._client.attach(self.sink)
        self._account.move(dialled.backend.traffic)
        if not self._context.valves:
            self.sink.count()

    def begin(self, session: Session) -> bool:
        """Starts the connection, hydrates the backend, and sends it what is in the ledger.

        Args:
            session: its `backend_failed` is called if the hydration fails.

        Returns:
            False: the connection is lost already, refuses the hydration, or a valve has ended the
            session; the session learns that by another call.
        """
        sink, valves = self.serving, session.valves
        self._recovery.prepare()
        self._route_messages(valves.receive, valves.receive)
        if sink.is_lost:
            lost = Close(CloseCode.TRY_AGAIN_LATER, "lost before it was used", abnormal=True)
            self._context.clock.call_soon(sink.closed, lost)
            return False
        must_hydrate = session.reconnects > 0 and valves.can_hydrate
        if must_hydrate:
            # Before the start, because the backend's first message may be an answer.
            valves.when_delivered(lambda: self._hydrate(sink, session))
            if self.sink is not sink:
                return False
        else:
            self._begin_to_watch(valves.receive)
        sink.connection.start()
        if self.sink is not sink or sink.connection.has_failed:
            return False  # what came during the start has ended it, or ends it now
        if not must_hydrate:
            self._outbox.send_to(sink, self._recovery.progress)
            self._client.begin()
            return True
        self._client.begin()
        if self._may_kill(sink):
            self._cautious = CautiousHydration(
                sink, self._context.poison_lock, self._context.clock, self._context.failover.stable
            )
        else:
            sink.begin_hydration()
        return True

    def _may_kill(self, sink: SessionSink) -> bool:
        """Returns whether backends have died of hydrations, and another one follows."""
        has_steps = sink.hydration is None or sink.hydration.has_steps  # None: unknown yet
        return self._deaths is not None and self._deaths.is_suspicious and has_steps

    def _hydrate(self, sink: SessionSink, session: Session) -> None:
        """Makes the hydration; the last backend's messages have passed the valves."""
        valves = session.valves
        if self.sink is not sink or sink.needs_no_hydration or isinstance(valves, NoValves):
            return
        try:
            steps = valves.hydrations()
        except CloseSession as end:
            session.close(end.code, end.reason, backend_code=end.code)
            return
        self._context.counters.hydrations.value += bool(steps)
        begin = self._context.clock.time() if steps else None
        run = HydrationRun(
            steps,
            sink,
            valves.inward,
            self._context.clock,
            self._context.failover.hydration_timeout,
            done=partial(self._hydrated, sink, valves.receive, begin),
            failed=partial(self._not_hydrated, sink, session),
        )
        run.pause(paused=bool(self._client.backend_pauses))
        sink.take_hydration(run)

    def _hydrated(
        self, sink: SessionSink, valves: Callable[[Message], object], begin: float | None
    ) -> None:
        if begin is not None:
            duration = self._context.clock.time() - begin
            self._context.counters.hydration_durations.observe(duration)
            self._deaths = None
        sink.hydration = None
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.done()
        self._begin_to_watch(valves)
        self._outbox.send_to(sink, self._recovery.progress)

    def _not_hydrated(self, sink: SessionSink, session: Session, close: Close) -> None:
        if self.sink is sink:
            session.backend_failed(close)

    def _begin_to_watch(self, valves: Callable[[Message], object] | None) -> None:
        """Lets the backend prove itself, for example by its first message."""
        self._recovery.watch(self.serving.backend, self._outbox.connection_lasts)
        self._route_messages(partial(self._first_message, valves), valves)

    def _route_messages(
        self,
        receive: Callable[[Message], object] | None,
        valves: Callable[[Message], object] | None,
    ) -> None:
        """Passes the backend's messages to `receive`, if the client still gets messages."""
        is_heard = self._client.receiver(valves) is not None
        self.serving.receive_with(receive if is_heard else None, valves)

    def _first_message(self, valves: Callable[[Message], object] | None, message: Message) -> None:
        """Notes that the backend has proved itself; passes its messages on directly from now on."""
        self._recovery.prove()
        receive = self._client.receiver(valves)
        self.serving.receive_with(receive, valves)
        if receive is not None:
            receive(message)

    def stop_forwarding(self, unheard: Callable[[Message], object] | None) -> None:
        """Passes no message to the client any more, but goes on reading the backend.

        Args:
            unheard: called with the messages instead: a valve may wait for an answer.
        """
        if self.sink is not None:
            self.sink.receive_with(None, unheard)
        self._client.backend_pauses.remove(PauseReason.OTHER_SIDE_SLOW | PauseReason.MEMORY_SHORT)

    def stop_hydration(self) -> None:
        """Stops hydrating the backend."""
        self.serving.stop_hydration()
        self._release_unused_lock()

    def _release_unused_lock(self) -> None:
        """Releases the lock at once if the backend got no hydration message to die of."""
        if self._cautious is not None and not self.serving.was_hydrated:
            cautious, self._cautious = self._cautious, None
            cautious.done()

    def let_go(self) -> PooledBackend:
        """Releases the backend; the caller closes the connection if it has not ended."""
        sink, self.sink = self.serving, None
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.stop()
        self._client.detach()
        self._ledger.take_back(sink.unsent)
        sink.sever()
        self._account.move(None)
        self._recovery.let_go()
        self._outbox.let_go()
        return sink.backend

    def leave(self, code: int, reason: str, cause: CloseCause) -> PooledBackend:
        """Releases the backend and closes its connection."""
        connection = self.serving.connection
        self._release_unused_lock()
        backend = self.let_go()
        connection.close(code, reason, cause)
        self._context.table.closing.add(connection)
        return backend
