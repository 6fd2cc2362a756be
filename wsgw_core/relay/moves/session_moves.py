"""Plans the moves of one session from a live backend to another, and takes their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...api import CloseCause
from ...pool.dialling.backend_search import NoBackend
from ...websocket.session_ends import SESSION_MOVED
from ..session.session_state import Event, State
from .move_retries import NEVER_FAILED
from .planned_move import PlannedMove

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from ..failover.replacement import Replacement
    from ..session.session import Session

_MOVED = "moved to another backend"


class SessionMoves:
    """Plans the moves of a session; PlannedMove decides when each step is taken.

    Args:
        session: the session that moves.
    """

    __slots__ = ("_context", "_planned", "_retries", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._context = session.context
        self._planned: PlannedMove | None = None
        self._retries = NEVER_FAILED

    # What operators and plugins want

    def begin(self, fit: Callable[[PooledBackend], bool] | None) -> bool:
        """Moves to another backend as soon as the session is quiet.

        Args:
            fit: returns whether a backend is worth the move, which is then a failback. None: every
                other backend is.

        Returns:
            False if the session cannot move now: it has no backend, opens or ends; its backend must
            still prove itself after a loss; a move has just failed; or failover is disabled.
        """
        session, now = self._session, self._context.clock.time()
        movable = session.state is State.RELAYING and session.outbox.is_flowing
        if not movable or session.client is None or not session.may_fail_over:
            return False
        if session.recovery.must_still_prove or not self._retries.may_try(now):
            return False
        self._plan(fit)
        return True

    def hurry(self, *, must_leave: bool) -> bool:
        """Moves at once, to another backend or to a new connection of the same one.

        wsgw first dials, then closes the old connection. The old backend has a moment to end; the
        next one gets what it has not acknowledged by then.

        Args:
            must_leave: leave the backend even if no other one is found; the session is then held,
                as after a loss.

        Returns:
            False: the session has no backend, moves already, or has just failed to.
        """
        session, planned = self._session, self._planned
        if planned is not None:
            was_under_way = planned.at_once
            planned.must_leave |= must_leave
            planned.hurry()
            return not was_under_way
        if session.state is not State.RELAYING or session.backend is None:
            return False
        if not session.outbox.is_flowing:  # a cautious replay is under way
            self._abandon()
        elif not (must_leave or self._retries.may_hurry(self._context.clock.time())):
            return False
        else:
            self._plan(at_once=True, must_leave=must_leave)
        return True

    @property
    def is_urgent(self) -> bool:
        """Whether the session leaves its backend at once."""
        return self._planned is not None and self._planned.at_once

    def call_off(self) -> None:
        """Lets the session stay, if it still waits until it is quiet and does not fail back."""
        planned = self._planned
        if planned is None or planned.at_once or planned.fit or planned.has_stopped_sending:
            return
        self.drop()
        self._session.advance(Event.MOVE_CALLED_OFF)
        self._context.counters.moves_called_off.value += 1

    def drop(self) -> None:
        """Forgets the planned move, if any, and relays as before."""
        planned, self._planned = self._planned, None
        if planned is not None:
            planned.stop()
            if planned.has_stopped_sending:
                self._session.outbox.send_rest()

    def stop(self) -> None:
        """Forgets the planned move, if any, because the session has left its backend."""
        if self._planned is not None:
            self._planned.stop()
            self._planned = None

    def arrived(self) -> None:
        """Notes that another backend serves: moves that failed before do not count for it."""
        self._retries = NEVER_FAILED

    def _plan(
        self,
        fit: Callable[[PooledBackend], bool] | None = None,
        *,
        at_once: bool = False,
        must_leave: bool = False,
    ) -> None:
        self._session.advance(Event.MOVE_PLANNED)
        self._planned = PlannedMove(
            self, self._session, at_once=at_once, must_leave=must_leave, fit=fit
        )
        self._planned.begin()

    # What PlannedMove calls, in this order

    async def dial(self) -> Replacement:
        """Dials the next backend; called again if that connection has waited for too long.

        Raises:
            NoBackend: none was found; a move that is not `at_once` never comes back to the same.
            BackendDeclined: a backend has declined the client.
        """
        session, planned = self._session, self._under_way
        backend, any_will_do = session.backend_side.serving.backend, planned.at_once
        fit = None if any_will_do else planned.fit
        if not (any_will_do or fit or self._context.dialler.has_another(backend)):
            raise NoBackend("no other backend")
        replacement = await session.dials.beside(session.subprotocol, backend, fit)
        if replacement.dialled.backend is backend and not any_will_do:
            replacement.dialled.discard()
            raise NoBackend("no other backend is available")
        return replacement

    def leave(self) -> None:
        """Closes the old connection; the backend may still send what it has."""
        session = self._session
        if session.backend_side.serving.take_end():
            return  # it had ended before; its end must not count as an answer to our close
        session.advance(Event.SETTLED)
        connection = session.backend_side.serving.connection
        connection.close(SESSION_MOVED.backend, _MOVED, CloseCause.SESSION_MOVES)

    def arrive(self) -> None:
        """Goes on with the new connection; the old one has ended, or its time is over."""
        session, planned = self._session, self._under_way
        replacement = planned.take_replacement()
        self.stop()
        self._context.table.closing.add(session.backend_side.serving.connection)
        lost = session.backend_side.let_go()
        session.advance(Event.BACKEND_LOST)
        session.outbox.rewind()
        if session.state is State.ENDED:  # as it is when a flush has nothing left to deliver
            if replacement is not None:
                replacement.dialled.discard()
            return
        counters = self._context.counters
        (counters.failovers if planned.at_once else counters.moves).value += 1
        counters.failbacks.value += planned.fit is not None and not planned.at_once
        if replacement is not None and replacement.suits(session.ledger):
            self._context.counters.replayed.value += session.ledger.replayable
            try:
                session.resume(lost, replacement.dialled)
            except Exception as error:  # noqa: BLE001 - a fault of a valve
                session.not_found(error)
        else:
            if replacement is not None:
                replacement.dialled.discard()
            session.search(lost, by_choice=True)

    def stay(self, error: Exception) -> None:
        """Calls the move off because of what `dial` has raised."""
        must_leave = self._under_way.must_leave
        self.drop()
        if must_leave:
            self._abandon()
            return
        self._session.advance(Event.MOVE_CALLED_OFF)
        self._retries = self._retries.failed(self._context.clock.time())
        self._context.counters.moves_called_off.value += 1
        self._context.reporter.stayed(self._session, error)

    @property
    def _under_way(self) -> PlannedMove:
        assert self._planned is not None  # noqa: S101 - for the type checker
        return self._planned

    def _abandon(self) -> None:
        """Leaves the backend now and looks for another, which gets what is not acknowledged."""
        session = self._session
        lost = session.backend_side.leave(SESSION_MOVED.backend, _MOVED, CloseCause.SESSION_MOVES)
        session.look_for_another(lost, by_choice=True)
