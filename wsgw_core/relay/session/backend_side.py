"""What a session has to do with the backend that serves it now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...api import Close, CloseCause, CloseCode, Message
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
    from ..delivery.link import Link
    from ..delivery.outbox import Outbox
    from ..delivery.traffic_account import TrafficAccount
    from ..failover.recovery import Recovery
    from .session import Session


class BackendSide:
    """Joins the client, what it says and its account to one backend after the other.

    Args:
        client, outbox, ledger, account: the session's.
        recovery: watches whether the backend lasts.
        context: what all sessions share.

    Attributes:
        link: to the backend that serves; None: there is none now.
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
        "link",
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
        self.link: Link | None = None
        self._deaths: HydrationDeaths | None = None  # since a backend died while it was prepared
        self._cautious: CautiousHydration | None = None

    @property
    def serving(self) -> Link:
        """The link, where there must be one."""
        assert self.link is not None  # noqa: S101 - for the type checker
        return self.link

    @property
    def backend(self) -> PooledBackend | None:
        """The backend that serves."""
        return self.link.backend if self.link is not None else None

    @property
    def is_lost(self) -> bool:
        """Whether the backend has lost all its connections, this one included."""
        return self.link is not None and self.link.is_lost

    @property
    def is_hydrating(self) -> bool:
        """Whether the backend is being prepared."""
        return self.link is not None and self.link.hydration is not None

    @property
    def has_poisonous_hydration(self) -> bool:
        """Whether one backend after the other has died while it alone was prepared."""
        return self._deaths is not None and self._deaths.is_poison

    def ended(self, close: Close) -> None:
        """Note how the backend has ended by itself; to be called before `let_go`."""
        link = self.serving
        if link.hydration is None or not link.was_hydrated or link.hydration.is_over:
            return
        if self._deaths is None:
            self._deaths = HydrationDeaths(self._context.failover.max_replays)
        self._deaths.note(close, alone=self._cautious is not None)

    def take(self, session: Session, dialled: Dialled[Link]) -> None:
        """Have a connection that is not started yet.

        Args:
            session: hears of its end.
            dialled: what the dial gave.
        """
        self.link = dialled.sink
        self.link.open(session, self._outbox, dialled)
        self._client.attach(self.link)
        self._account.move(dialled.backend.traffic)
        if not self._context.valves:
            self.link.count()

    def begin(self, session: Session, *, hydrate: bool) -> bool:
        """Start the connection, prepare the backend, and give it what it is owed.

        Args:
            session: hears when the backend cannot be prepared.
            hydrate: whether it is not the session's first.

        Returns:
            False: it was lost before, or a valve has a fault; the session hears of that.
        """
        link, valves = self.serving, session.valves
        self._recovery.prepare()
        self._hear(valves.receive, valves.receive)
        if link.is_lost:
            lost = Close(CloseCode.TRY_AGAIN_LATER, "lost before it was used", abnormal=True)
            self._context.clock.call_soon(link.closed, lost)
            return False
        if not (hydrate and valves.can_hydrate):
            self._begin_to_trust(valves.receive)
            link.connection.start()
            self._outbox.give_to(link, self._recovery.progress)
            self._client.begin()
            return True
        # Before the start: what the backend says first may be an answer.
        valves.when_delivered(lambda: self._hydrate(link, session))
        if self.link is not link:
            return False
        link.connection.start()
        self._client.begin()
        if self._deaths is not None and self._deaths.is_suspicious:
            self._cautious = CautiousHydration(
                link.begin_hydration,
                self._context.poison_lock,
                link.backend,
                self._context.clock,
                self._context.failover.stable,
            )
        else:
            link.begin_hydration()
        return True

    def _hydrate(self, link: Link, session: Session) -> None:
        """Prepare the backend, now that all is through which another one has said."""
        valves = session.valves
        if self.link is not link or isinstance(valves, NoValves):
            return
        try:
            steps = valves.hydrations()
        except Exception as error:  # noqa: BLE001 - a valve's, which has been told
            session.not_found(error)
            return
        self._context.counters.hydrations.value += bool(steps)
        run = HydrationRun(
            steps,
            link,
            valves.inward,
            self._context.clock,
            self._context.failover.hydration_timeout,
            done=partial(self._hydrated, link, valves.receive),
            failed=partial(self._not_hydrated, link, session),
        )
        run.pause(paused=bool(self._client.backend_pauses))
        link.take_hydration(run)

    def _hydrated(self, link: Link, valves: Callable[[Message], object]) -> None:
        link.hydration = self._deaths = None
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.done()
        self._begin_to_trust(valves)
        self._outbox.give_to(link, self._recovery.progress)

    def _not_hydrated(self, link: Link, session: Session, close: Close) -> None:
        if self.link is link:
            session.backend_failed(close)

    def _begin_to_trust(self, valves: Callable[[Message], object] | None) -> None:
        """Have the backend prove itself: by its first message, if not before."""
        self._recovery.watch(self.serving.backend, self._outbox.trust)
        self._hear(partial(self._first_message, valves), valves)

    def _hear(
        self,
        receive: Callable[[Message], object] | None,
        valves: Callable[[Message], object] | None,
    ) -> None:
        """Have messages of the backend go to `receive`, if the client is to hear anything."""
        is_heard = self._client.receiver(valves) is not None
        self.serving.receive_with(receive if is_heard else None, valves)

    def _first_message(self, valves: Callable[[Message], object] | None, message: Message) -> None:
        """Trust a backend that says something; what follows goes to the client directly."""
        self._recovery.prove()
        receive = self._client.receiver(valves)
        self.serving.receive_with(receive, valves)
        if receive is not None:
            receive(message)

    def hear_no_more(self, unheard: Callable[[Message], object] | None) -> None:
        """Have the backend read, though the client hears nothing of it any more.

        Args:
            unheard: a valve may wait for an answer to what the client has left.
        """
        if self.link is not None:
            self.link.receive_with(None, unheard)
        self._client.backend_pauses.remove(PauseReason.OTHER_SIDE_SLOW | PauseReason.MEMORY_SHORT)

    def let_go(self) -> PooledBackend:
        """Sever the link; the connection's end is somebody else's business."""
        link, self.link = self.serving, None
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.stop()
        self._client.detach()
        self._ledger.take_back(link.unsent)
        link.sever()
        self._account.move(None)
        self._recovery.let_go()
        self._outbox.let_go()
        return link.backend

    def leave(self, code: int, reason: str, cause: CloseCause) -> PooledBackend:
        """Let go of the backend and close its connection, whatever it has acknowledged."""
        connection = self.serving.connection
        backend = self.let_go()
        connection.close(code, reason, cause)
        self._context.table.closing.add(connection)
        return backend
