"""One client's websocket, from its opening to its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...api import Close, CloseCause, CloseCode, Handshake, Headers, Message, ReplyOutcome
from ...pool.backends.backend_pool import PooledBackend
from ...pool.dialling.backend_search import NoBackend
from ...pool.dialling.dial import Dialled
from ...websocket import session_ends
from ..all_sessions.session_context import SessionContext
from ..client.client_side import ClientEnd, ClosingByGateway
from ..delivery.read_pauses import PauseReason
from ..delivery.session_sink import SessionSink
from ..moves.session_moves import SessionMoves
from ..valves.session_valves import SessionValves
from ..valves.session_view import SessionView
from .close_rules import close_after_loss, close_for_backend, close_without_backend
from .closing_flush import ClosingFlush
from .session_parts import SessionParts
from .session_state import Event, State, after

_CLIENT_LEFT = Close(session_ends.CLIENT_LOST.backend, "client left")


class ClosedWhileOpening(Exception):
    """A valve has closed the session before the client was answered."""


class Session(SessionParts):
    """Relays between a client and one backend after the other; decides what each event leads to.

    The frontend calls `open`, then `start` or `close`, and after `start` the methods and attributes
    whose names begin with `client_`. The sink calls `backend_closed`, the whole backend
    `backend_blocked` and `lose_backend`. They call from the callbacks of their sockets.

    Three classes carry out what takes time: Recovery finds a backend after a loss, SessionMoves
    moves to another one as planned, ClosingFlush delivers the rest when the client has left.

    Args:
        session_id: unguessable.
        handshake: the client's request, as the gates left it.
        context: what all sessions share.
    """

    __slots__ = ("_flush", "_moves", "_state", "_view")

    def __init__(self, session_id: str, handshake: Handshake, context: SessionContext) -> None:
        super().__init__(session_id, handshake, context)
        self._state = State.DIALLING
        self._moves: SessionMoves | None = None  # made at the first move
        self._view: SessionView | None = None
        self._flush: ClosingFlush | None = None  # made when the client has left

    @property
    def state(self) -> State:
        """The state of the session."""
        return self._state

    def advance(self, event: Event) -> None:
        """Enters the state that follows an event; only for classes that act for the session."""
        self._state = after(self._state, event)

    # Beginning

    async def open(self) -> Headers:
        """Makes the valves and dials the first backend; returns headers for the client's answer.

        Raises:
            NoBackend, BackendDeclined: see Dialler.
            ClosedWhileOpening: a valve has closed the session.
            Exception: what the factory of a valve raises.
        """
        if self.context.valves:
            self.valves = SessionValves(self, self.client_side, self.outbox, self.context)
            self.client_message = self.valves.transmit
        try:
            dialled = await self.dials.first()
        except Exception as error:
            self.requests.acceptances.end(close_without_backend(error), CloseCause.SESSION_ENDED)
            raise
        except BaseException:  # cancelled
            self.requests.acceptances.end(_CLIENT_LEFT, CloseCause.CLIENT_LEFT)
            raise
        if self._state is State.ENDED:
            dialled.connection.close(session_ends.NOT_NEEDED.backend)
            raise ClosedWhileOpening
        self.backend_side.take(self, dialled)
        self.subprotocol = dialled.connection.subprotocol
        return dialled.connection.headers

    def start(self, client: ClientEnd) -> None:
        """Begins to relay: the client was answered."""
        self.advance(Event.BACKEND_READY)
        self.client_side.end = client
        self.account.open(client)
        self.outbox.client_pauses.attach(client)
        self.outbox.client_pauses.enforce()
        self.context.table.add(self)
        self.context.counters.sessions.value += 1
        if self.backend is not None:
            self.backend.traffic.sessions += 1
        self.context.reporter.opened(self)
        self._begin_with_backend()

    # What the client's socket calls

    def client_writable(self, writable: bool) -> None:
        """Pauses or resumes reading the backend."""
        self.client_side.backend_pauses.switch(PauseReason.OTHER_SIDE_SLOW, not writable)

    def client_pinged(self, payload: bytes) -> None:
        """Passes a ping of the client on to the backend."""
        self.client_side.pinged(payload)

    def client_closed(self, close: Close, *, violation: bool = False) -> None:
        """Delivers what the client has left behind, then its close.

        Args:
            close: what the client sent; 1006 if it was lost.
            violation: wsgw has closed the client because it broke the protocol or a limit.
        """
        if self._state is State.ENDED:
            return
        context, closing = self.context, self.client_side.closing
        self._forget_client()
        if closing is None:
            side = "gateway" if violation else "client"
            context.counters.count_close(side, close.code)
        if violation:
            context.counters.count_violation(close.code)
            context.reporter.client_violated(self, close)
        for_backend = close_for_backend(close, violation=violation)
        cause = CloseCause.SESSION_ENDED if violation else CloseCause.CLIENT_LEFT
        if closing is not None:
            for_backend = Close(session_ends.GATEWAY_STOPPED.backend, closing.reason)
            cause = closing.cause
        if self._state is State.CLOSING:
            self.give_up(for_backend, cause)
            return
        if self._state is State.SETTLING:
            self.moves.drop()
        self.advance(Event.CLIENT_CLOSED)
        self._flush = ClosingFlush(self, for_backend, cause)
        self._flush.begin()

    # What the backend calls

    def backend_blocked(self, blocked: bool) -> None:
        """Pauses or resumes reading the client: the backend takes nothing from any session."""
        self.outbox.client_pauses.switch(PauseReason.BACKEND_BLOCKED, blocked)

    def lose_backend(self, close: Close) -> None:
        """Acts as if the backend had ended the connection, unless it was dialled after the loss."""
        if self.backend_side.is_lost:
            self.backend_side.serving.lose(close)

    def backend_closed(self, close: Close) -> None:
        """Decides what follows when the connection has ended: a failover, or the session's end."""
        context = self.context
        close = self._judged(close)
        provoked = self._state.client_has_left or self.backend_side.may_have_provoked(close)
        if self.ledger.is_complete:
            self.ledger.delivered_all(context.clock.time())
            close = Close(CloseCode.NORMAL, "") if close.abnormal else close
        self.outbox.ended(close, as_asked=self._state.is_leaving)
        self.backend_side.ended(close)
        if self._state.is_leaving and self.backend is not None:
            context.reporter.backend_closed(self, self.backend.id, close)
            self.moves.arrive()
            return
        all_are_lost = self.backend_side.is_lost
        lost = self._let_go()
        context.reporter.backend_closed(self, lost.id, close)
        close = self.recovery.judged(lost, close, provoked=provoked, all_are_lost=all_are_lost)
        flushing = self._state is State.FLUSHING
        if close.abnormal or not flushing:  # else the backend has answered the client's close
            context.counters.count_close("backend", close.code)
        if self._fails_over(close):
            lost.session_lost(close)
            self.look_for_another(lost)
            self._end_if_poisoned()
        elif flushing:
            event = Event.GIVEN_UP if close.abnormal else Event.BACKEND_CLOSED
            self._finish(event, close, CloseCause.CLIENT_LEFT)
        else:
            if close.code == CloseCode.POLICY_VIOLATION and self.client_is_slow:
                context.counters.slow_clients_closed.value += 1
            self.advance(Event.BACKEND_CLOSED)
            code = context.failover.loss_code
            for_client = close_after_loss(close, code, all_are_lost=all_are_lost)
            self.valves.when_delivered(partial(self._pass_close_on, for_client))

    def _judged(self, close: Close) -> Close:
        """Returns how the end of a connection counts."""
        leaves = self._state is State.SETTLING and self.moves.is_urgent
        if leaves and not close.abnormal and self.may_fail_over:
            # The operator or plugin wants the session to go on elsewhere.
            return Close(CloseCode.GOING_AWAY, f"closed with {close}", abnormal=True)
        return self.backend_side.judged(close)

    def _fails_over(self, close: Close) -> bool:
        """Returns whether the session fails over after this end of its connection."""
        is_needed = self.undelivered > 0 or self._state is not State.FLUSHING
        return close.abnormal and is_needed and self.may_fail_over

    def backend_failed(self, close: Close) -> None:
        """Acts as if the backend had ended the connection, because its hydration has failed."""
        connection = self.backend_side.serving.connection
        self.backend_closed(close)
        connection.close(
            session_ends.HYDRATION_FAILED.backend, "hydration failed", CloseCause.SESSION_MOVES
        )
        self.context.table.closing.add(connection)

    # From one backend to another

    @property
    def moves(self) -> SessionMoves:
        """The planned moves of the session."""
        if self._moves is None:
            self._moves = SessionMoves(self)
        return self._moves

    def fail_over(self, *, must_leave: bool = False) -> bool:
        """Moves at once; see SessionMoves.hurry."""
        return self._state is not State.ENDED and self.moves.hurry(must_leave=must_leave)

    def move(self, fit: Callable[[PooledBackend], bool] | None = None) -> bool:
        """Moves as soon as the session is quiet; see SessionMoves.begin."""
        return self._state is State.RELAYING and self.moves.begin(fit)

    def look_for_another(self, lost: PooledBackend, *, by_choice: bool = False) -> None:
        """Looks for the next backend, which gets what this one has not acknowledged.

        Args:
            lost: the backend that was lost or left, after `let_go`.
            by_choice: the session has left it.
        """
        self.advance(Event.BACKEND_LOST)
        self.outbox.rewind()
        if self._state is not State.ENDED:  # as it is when a flush has nothing left to deliver
            self.context.counters.failovers.value += 1
            self.context.reporter.held(self, lost.id)
            self.search(lost, by_choice=by_choice)

    def search(self, lost: PooledBackend, *, by_choice: bool) -> None:
        """Searches for another backend; then `resume` goes on, or `not_found` ends the session."""
        self.recovery.search(
            lost, self.subprotocol, self.resume, self.not_found, by_choice=by_choice
        )

    def resume(self, lost: PooledBackend, dialled: Dialled[SessionSink]) -> None:
        """Goes on with another backend, which was dialled."""
        self.advance(Event.BACKEND_READY)
        self.reconnects += 1
        if self._moves is not None:
            self._moves.arrived()
        self.backend_side.take(self, dialled)
        self.context.reporter.failed_over(self, lost.id, dialled.backend.id, self.ledger.replayable)
        self._begin_with_backend()

    def not_found(self, error: Exception) -> None:
        """Ends the session, because no other backend serves it."""
        if isinstance(error, NoBackend):
            self.context.counters.holds_expired.value += 1
        self.context.reporter.not_found(self, error)
        close = close_without_backend(error)
        self.close(close.code, close.reason)

    def _begin_with_backend(self) -> None:
        begun = self.backend_side.begin(self)
        if begun and self._flush is not None:
            self._flush.begin_anew()

    def _let_go(self) -> PooledBackend:
        if self._moves is not None:
            self._moves.stop()
        return self.backend_side.let_go()

    # Ending

    def close(
        self,
        code: int,
        reason: str = "",
        *,
        backend_code: int = session_ends.PLUGIN_CLOSED.backend,
        cause: CloseCause = CloseCause.SESSION_ENDED,
    ) -> None:
        """Ends the session now, in any state; see api.Session.close.

        Args:
            code: for the client; the session ends with it for plugins.
            reason: likewise.
            backend_code: the code for the backend.
            cause: why the backend's connection is closed.
        """
        if self._state is State.ENDED:
            return
        if self.client_side.close(code, reason):
            self.context.counters.count_close("gateway", code)
        self.give_up(Close(code, reason), cause, backend_code)

    def close_client(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.GATEWAY_STOPS
    ) -> None:
        """Closes the client, and delivers the messages that it sends until it answers the close.

        So no message is lost that the client takes for sent. `limits.close-timeout` bounds the wait
        for the client's answer, and then the delivery.
        """
        client = self.client
        if self._state is State.ENDED or client is None or self.client_side.closing is not None:
            return
        self.client_side.closing = ClosingByGateway(reason, cause)
        self.context.counters.count_close("gateway", code)
        self.backend_side.stop_forwarding(self.valves.receive)
        client.close(code, reason)
        self.outbox.client_pauses.remove(PauseReason.ANSWERS_AWAITED)
        self.outbox.client_pauses.enforce()

    def give_up(self, close: Close, cause: CloseCause, backend_code: int | None = None) -> None:
        """Ends the session, whatever is still undelivered.

        Args:
            close: the session's end.
            cause: why the backend's connection is closed.
            backend_code: the code for the backend; by default that of the end.
        """
        if self._moves is not None:
            self._moves.stop()
        if self.backend_side.sink is not None:
            code = close.code if backend_code is None else backend_code
            self.backend_side.leave(code, close.reason, cause)
        self._finish(Event.GIVEN_UP, close, cause)

    def _pass_close_on(self, close: Close) -> None:
        """Closes the client with the backend's close."""
        if self._state is State.CLOSING:
            self.client_side.close(close.code, close.reason)
            self._finish(Event.REPLIES_DELIVERED, close, CloseCause.BACKEND_ENDED)

    def _end_if_poisoned(self) -> None:
        """Ends the session if several backends have died of a message or of its hydration."""
        if self._state is State.ENDED:
            return
        message = self.outbox.poison
        if message is not None or self.backend_side.has_poisonous_hydration:
            self.context.counters.poisoned.value += 1
            self.context.reporter.poisoned(self, message)
            self.close(
                session_ends.POISONED.client,
                "several backends died with the same message in flight",
            )

    def _forget_client(self) -> None:
        if self.client is not None:
            self.context.table.closing.add(self.client)
        self.client_side.leave()
        self.outbox.client_pauses.attach(None)

    def _finish(self, event: Event, close: Close, cause: CloseCause) -> None:
        """Reports the end and releases everything; the last thing that a session does."""
        context, was_opened = self.context, self._state is not State.DIALLING
        self.advance(event)
        self.recovery.stop()
        end = close, cause
        if self._flush is not None:  # the client's close counts, not what the backend made of it
            end = self._flush.close, self._flush.cause
            self._flush.stop()
        self.account.close()
        self._forget_client()
        context.counters.undelivered.value += self.undelivered
        context.table.remove(self)
        context.reporter.ended(self, close, was_opened=was_opened)
        self.requests.acceptances.end(*end)
        self.valves.stop()
        self.outbox.close(count_late=self.client_side.closing is not None)
        # Late calls have no effect, and no reference circle keeps the session in memory.
        self._moves = self._flush = None
        self.client_message = _ignore

    # What plugins do

    def view(self) -> SessionView:
        """Returns the session for listeners, always the same object."""
        if self._view is None:
            self._view = SessionView(self)
        return self._view

    def inject(self, message: Message, *, to_client: bool, start: int) -> None:
        """Puts a plugin's message into the valves of a direction, at position `start`."""
        if self._state is not State.ENDED:
            self.valves.inject(message, to_client=to_client, start=start)

    def send_to_client(self, message: Message) -> ReplyOutcome:
        """Sends the client a message that its backend has not sent, through the valves.

        Returns:
            TAKEN; or why the message was not sent.
        """
        outcome = self.client_side.outcome(message, self.max_message_size)
        if outcome is ReplyOutcome.TAKEN:
            self.inject(message, to_client=True, start=0)
        return outcome


def _ignore(_message: Message) -> None:
    pass
