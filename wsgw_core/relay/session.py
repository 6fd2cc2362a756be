"""One client's websocket, whichever backend serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..api import Close, CloseCause, Handshake, Headers, Message, ReplyOutcome
from ..open_plugins import PluginSet
from ..pool.backend_pool import PooledBackend
from ..pool.dialler import Dialled, NoBackend
from ..websocket.close_codes import (
    GOING_AWAY,
    INTERNAL_ERROR,
    LOST,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
)
from .client_end import ClientEnd
from .client_side import ClientSide
from .close_rules import told_to_backend, told_without_backend
from .closing_flush import ClosingFlush
from .dial_requests import DialRequests
from .environment import RelayEnvironment
from .ledger import Ledger
from .link import Link
from .outbox import Outbox
from .planned_move import PlannedMove
from .read_holds import Hold
from .recovery import Recovery
from .session_state import Event, State, after
from .session_valves import NoValves, SessionValves
from .session_view import SessionView
from .traffic_account import TrafficAccount

_MOVED = "moved to another backend"
_CLIENT_LEFT = Close(GOING_AWAY, "client left")


class ClosedWhileOpening(Exception):
    """A valve has closed the session before its client was answered."""


class Session:
    """Relays between a client and one backend after the other.

    The frontend calls `open`, then `start` or `close`, and from then on `client_message` and the
    other `client_*` methods; the link to the backend calls the others. Both do so from the
    callbacks of their sockets.

    Args:
        session_id: unguessable.
        handshake: what the client asked for, as the gates left it.
        environment: what all sessions share.

    Attributes:
        client_message: takes each message of the client's; final once `open` has returned.
        is_held_for_memory: whether the client is not read for want of memory.
    """

    __slots__ = (
        "__weakref__",
        "_account",
        "_backend_close",
        "_client",
        "_dismissal_cause",
        "_environment",
        "_flush",
        "_ledger",
        "_link",
        "_move",
        "_outbox",
        "_recovery",
        "_requests",
        "_started",
        "_state",
        "_valves",
        "_view",
        "client_message",
        "id",
        "is_held_for_memory",
        "path",
        "peer",
        "plugin_state",
        "reconnects",
        "subprotocol",
    )

    def __init__(
        self, session_id: str, handshake: Handshake, environment: RelayEnvironment
    ) -> None:
        self.id = session_id
        self.path = handshake.path
        self.peer = handshake.peer
        self.subprotocol: str | None = None
        self.reconnects = 0
        self.is_held_for_memory = False
        self.plugin_state: dict[str, Any] | None = None
        self._environment = environment
        self._state = State.DIALLING
        limits = environment.limits
        self._ledger = Ledger(limits.ledger_bytes, limits.for_plugins().message_share)
        self._account = TrafficAccount(self._ledger, environment.counters.unassigned)
        self._client = ClientSide(self._account)
        self._outbox = Outbox(self._ledger, self._account, environment)
        self.client_message: Callable[[Message], None] = self._outbox.transmit
        self._requests = DialRequests(session_id, handshake)
        self._recovery = Recovery(self._requests, self._ledger, environment)
        self._valves: SessionValves | NoValves = NoValves(self._client, self._outbox)
        self._view: SessionView | None = None
        self._link: Link | None = None
        self._move: PlannedMove | None = None
        self._started = False  # the listeners know it
        self._dismissal_cause = CloseCause.GATEWAY_STOPS
        self._backend_close: Close | None = None  # to be passed on
        self._flush: ClosingFlush | None = None

    # Beginning

    async def open(self) -> Headers:
        """Make the valves and dial the first backend; return headers for the client's answer.

        Raises:
            NoBackend, BackendDeclined: see Dialler.
            ClosedWhileOpening: a valve does not want the client.
            Exception: whatever the factory of a valve raises.
        """
        environment = self._environment
        if environment.valves:
            self._valves = SessionValves(self, self._client, self._outbox, environment)
            self.client_message = self._valves.transmit
        try:
            dialled = await environment.dialler.dial(
                self._requests.first(),
                Link,
                timeout=environment.failover.dial_timeout,
                hedge_after=environment.failover.hedge_after,
                accepted=self._requests.acceptances.note,
            )
        except Exception as error:
            self._requests.acceptances.end(told_without_backend(error), CloseCause.SESSION_ENDED)
            raise
        except BaseException:  # cancelled
            self._requests.acceptances.end(_CLIENT_LEFT, CloseCause.CLIENT_LEFT)
            raise
        if self._state is State.ENDED:
            dialled.connection.close(GOING_AWAY)
            raise ClosedWhileOpening
        self._take(dialled)
        self.subprotocol = dialled.connection.subprotocol
        return dialled.connection.headers

    def start(self, client: ClientEnd) -> None:
        """Begin to relay: the client has been answered."""
        self._state = after(self._state, Event.BACKEND_READY)
        self._client.end = client
        self._account.open(client)
        self._outbox.client_holds.attach(client)
        self._outbox.client_holds.enforce()
        self._environment.table.add(self)
        self._environment.counters.sessions.value += 1
        if self._link is not None:
            self._link.backend.traffic.sessions += 1
        self._started = True
        self._environment.announcements.opened(self)
        self._begin_link()

    # What the client's socket calls

    def client_writable(self, writable: bool) -> None:
        """Stop or resume the reading of the backend."""
        self._client.backend_holds.switch(Hold.OTHER_SIDE_SLOW, not writable)

    def client_pinged(self, payload: bytes) -> None:
        """Have the backend answer a ping."""
        self._client.pinged(payload)

    def client_closed(self, close: Close, *, violation: bool = False) -> None:
        """Give the backend what is left, then the client's close.

        Args:
            close: what the client sent; 1006 when it was lost.
            violation: the client was closed for breaking the protocol or a limit.
        """
        if self._state is State.ENDED:
            return
        environment, dismissed = self._environment, self._client.dismissed
        self._forget_client()
        if dismissed is None:
            side = "gateway" if violation else "client"
            environment.counters.count_close(side, close.code)
        if violation:
            environment.counters.count_violation(close.code)
            environment.announcements.client_violated(self, close)
        told = told_to_backend(close, violation=violation)
        cause = CloseCause.SESSION_ENDED if violation else CloseCause.CLIENT_LEFT
        if dismissed is not None:
            told, cause = Close(GOING_AWAY, dismissed), self._dismissal_cause
        self._flush = ClosingFlush(
            told,
            cause,
            environment.clock,
            environment.limits.close_timeout,
            self._flush_overdue,
        )
        self._outbox.drain(self._close_flushed)
        self._hear_no_more()
        self._valves.when_transmitted(self._client_left)

    # What the link calls, beside the outbox

    def backend_writable(self, writable: bool) -> None:
        """Stop or resume the reading of the client."""
        self._outbox.client_holds.switch(Hold.OTHER_SIDE_SLOW, not writable)

    def lose_backend(self, close: Close) -> None:
        """End the connection as if the backend had, unless it was dialled after the loss."""
        if self._link is not None and self._link.is_lost:
            self.backend_closed(close)

    def backend_blocked(self, blocked: bool) -> None:
        """Stop or resume the reading of the client, since its backend takes nothing as a whole."""
        self._outbox.client_holds.switch(Hold.BACKEND_BLOCKED, blocked)

    def backend_closed(self, close: Close) -> None:
        """Pass a normal end on; look for another backend after an abnormal one."""
        environment = self._environment
        provoked = self._may_have_provoked(close)
        self._outbox.ended(close, as_asked=self._state is State.LEAVING)
        all_are_lost = self._link is not None and self._link.is_lost
        lost = self._let_go()
        environment.announcements.backend_closed(self, lost.id, close)
        if self._state is State.LEAVING:
            self._look_for_another(lost)
            return
        if close.abnormal and not self._recovery.is_proved and not all_are_lost:
            self._recovery.blame(lost, f"connection lost at once: {close}", provoked=provoked)
        if close.breach and self._recovery.was_broken_so(lost, close.reason):
            close = replace(close, abnormal=False)  # every backend would do so: see Close
        flushing = self._state is State.FLUSHING
        if close.abnormal or not flushing:  # else it has answered ours
            environment.counters.count_close("backend", close.code)
        owing = bool(self._ledger) or not flushing
        if close.abnormal and owing and self.may_fail_over:
            environment.counters.failovers.value += 1
            self._look_for_another(lost)
            self._end_if_poisoned()
        elif flushing:
            event = Event.GIVEN_UP if close.abnormal else Event.BACKEND_CLOSED
            self._finish(event, close, CloseCause.CLIENT_LEFT)
        else:
            if close.code == POLICY_VIOLATION and self.client_is_slow:
                environment.counters.slow_clients_closed.value += 1
            self._backend_close = close
            self._valves.when_delivered(self._pass_close_on)

    # One backend after the other

    def fail_over(self) -> None:
        """Leave the backend for another now; without effect while there is none."""
        if self._state in (State.RELAYING, State.SETTLING) and self._link is not None:
            connection = self._link.connection
            lost = self._let_go()
            connection.close(GOING_AWAY, _MOVED, CloseCause.SESSION_MOVES)
            self._environment.table.closing.add(connection)
            self._environment.counters.failovers.value += 1
            self._look_for_another(lost)

    def move(self) -> bool:
        """Leave the backend for another as soon as nobody can miss anything.

        Returns:
            False when that is not possible now: while the session has no backend, opens or ends,
            while its backend must still prove itself, or without failover.
        """
        environment = self._environment
        movable = self._state is State.RELAYING and self._outbox.is_flowing
        if not movable or self._client.end is None or not self.may_fail_over:
            return False
        self._state = after(self._state, Event.MOVE_PLANNED)
        self._outbox.hold_back()
        self._move = PlannedMove(
            self._ledger,
            environment.drain,
            environment.clock,
            replies=lambda: self._account.messages_sent,
            client_is_slow=lambda: bool(self._client.backend_holds),
            leave=self._leave,
        )
        return True

    def _leave(self) -> None:
        """Tell the backend that the session moves; its end is waited for."""
        assert self._link is not None  # noqa: S101 - for the type checker
        if not self._environment.dialler.has_another(self._link.backend):
            self._state = after(self._state, Event.MOVE_CALLED_OFF)
            self._stay()
            return
        self._state = after(self._state, Event.SETTLED)
        self._environment.counters.moves.value += 1
        self._link.connection.close(GOING_AWAY, _MOVED, CloseCause.SESSION_MOVES)

    def _stay(self) -> None:
        """Give up a planned move: the client leaves, or there is nowhere to go."""
        assert self._move is not None  # noqa: S101 - for the type checker
        self._move.stop()
        self._move = None
        self._outbox.give_rest()

    def _let_go(self) -> PooledBackend:
        """Sever the link to the backend; the connection's end is somebody else's business."""
        assert self._link is not None  # noqa: S101 - for the type checker
        link, self._link = self._link, None
        self._client.detach()
        link.sever()
        self._account.move(None)
        if self._move is not None:
            self._move.stop()
            self._move = None
        self._recovery.let_go()
        self._outbox.let_go()
        return link.backend

    def _look_for_another(self, lost: PooledBackend) -> None:
        self._state = after(self._state, Event.BACKEND_LOST)
        self._outbox.rewind()
        self._recovery.search(lost, self.subprotocol, self._resume, self._not_found)

    def _resume(self, lost: PooledBackend, dialled: Dialled[Link]) -> None:
        """Go on with another backend."""
        self._state = after(self._state, Event.BACKEND_READY)
        self.reconnects += 1
        self._take(dialled)
        self._environment.announcements.failed_over(
            self, lost.id, dialled.backend.id, self._ledger.replayable
        )
        self._begin_link()

    def _take(self, dialled: Dialled[Link]) -> None:
        self._link = dialled.sink
        self._link.open(self, self._outbox, dialled)
        self._client.attach(self._link)
        self._account.move(dialled.backend.traffic)
        if not self._environment.valves:
            self._link.count()

    def _begin_link(self) -> None:
        """Start the connection, and give it what it is owed."""
        assert self._link is not None  # noqa: S101 - for the type checker
        link = self._link
        self._recovery.watch(link.backend, self._outbox.trust)
        receive = self._valves.receive
        is_heard = self._client.receiver(receive) is not None
        link.receive_with(self._first_message if is_heard else None, receive)
        if link.is_lost:
            lost = Close(TRY_AGAIN_LATER, "lost before it was used", abnormal=True)
            self._environment.clock.call_soon(link.closed, lost)
            return
        link.connection.start()
        if self.reconnects:
            link.hydrate(self._valves.hydrations())
        self._outbox.give_to(link, self._recovery.progress)
        self._client.begin()
        if self._flush is not None:
            self._flush.passed_on = False
            self._close_flushed()

    def _first_message(self, message: Message) -> None:
        """Trust a backend that says something; what follows goes to the client directly."""
        assert self._link is not None  # noqa: S101 - for the type checker
        self._recovery.prove()
        receive = self._client.receiver(self._valves.receive)
        self._link.receive_with(receive, self._valves.receive)
        if receive is not None:
            receive(message)

    def _may_have_provoked(self, close: Close) -> bool:
        """Return whether an end may be the backend's answer to what the session gave it."""
        assert self._link is not None  # noqa: S101 - for the type checker
        was_given_something = self._link.was_hydrated or self._ledger.under_way > 0
        return self._flush is not None or (was_given_something and close.code != LOST)

    def _not_found(self, error: Exception) -> None:
        """End the session: no other backend serves it."""
        if isinstance(error, NoBackend):
            self._environment.counters.holds_expired.value += 1
        self._environment.announcements.not_found(self, error)
        close = told_without_backend(error)
        self.close(close.code, close.reason)

    # Ending

    def close(
        self,
        code: int,
        reason: str = "",
        *,
        backend_code: int = GOING_AWAY,
        cause: CloseCause = CloseCause.SESSION_ENDED,
    ) -> None:
        """End the session now, whatever its state; client and backend see these codes."""
        if self._state is State.ENDED:
            return
        if self._client.close(code, reason):
            self._environment.counters.count_close("gateway", code)
        self._drop_link(backend_code, reason, cause)
        self._finish(Event.GIVEN_UP, Close(code, reason), cause)

    def dismiss(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.GATEWAY_STOPS
    ) -> None:
        """Close the client; what it still says until it answers goes on to the backend.

        So nothing is lost that the client believes to be sent. Bounded by `limits.close-timeout`,
        for the client's answer and for the backend each.
        """
        client = self._client.end
        if self._state is State.ENDED or client is None or self._client.dismissed is not None:
            return
        self._client.dismissed = reason
        self._dismissal_cause = cause
        self._environment.counters.count_close("gateway", code)
        self._hear_no_more()
        client.close(code, reason)
        self._outbox.client_holds.enforce()

    def _pass_close_on(self) -> None:
        """Close the client as the backend has closed us."""
        close = self._backend_close
        if self._state not in (State.RELAYING, State.SETTLING) or close is None:
            return
        self._client.close(close.code, close.reason)
        self._finish(Event.BACKEND_CLOSED, close, CloseCause.BACKEND_ENDED)

    def _client_left(self) -> None:
        """The client has gone, and all its messages are in the ledger."""
        if self._state is State.ENDED or self._flush is None:
            return
        if self._state is State.LEAVING:
            self._look_for_another(self._let_go())
        elif self._state is State.SETTLING and self._link is not None:
            self._stay()
        nobody_to_tell = self._state is State.HOLDING and not self._ledger
        if self._backend_close is not None or nobody_to_tell:
            self._finish(Event.GIVEN_UP, self._flush.close, self._flush.cause)
            return
        self._state = after(self._state, Event.CLIENT_CLOSED)
        self._close_flushed()

    def _close_flushed(self) -> None:
        """Pass the client's close on, once nothing is owed any more."""
        if self._state is not State.FLUSHING or self._ledger:
            return
        if self._link is not None and self._flush is not None:
            self._outbox.hold_back()  # a plugin may still have something for the next backend
            self._flush.pass_on(self._link.connection)

    def _flush_overdue(self) -> None:
        assert self._flush is not None  # noqa: S101 - for the type checker
        close, cause = self._flush.close, self._flush.cause
        self._drop_link(close.code, close.reason, cause)
        self._finish(Event.GIVEN_UP, close, cause)

    def _end_if_poisoned(self) -> None:
        """End the session if its oldest message has ended one backend after the other."""
        message = self._outbox.poison
        if message is not None:
            self._environment.counters.poisoned.value += 1
            self._environment.announcements.poisoned(self, message)
            self.close(INTERNAL_ERROR, "a message has ended several backends")

    def _drop_link(self, code: int, reason: str, cause: CloseCause) -> None:
        if self._link is not None:
            connection = self._link.connection
            self._let_go()
            connection.close(code, reason, cause)
            self._environment.table.closing.add(connection)

    def _hear_no_more(self) -> None:
        """Have the backend read, though the client hears nothing of it any more.

        A valve may wait for an answer to what the client has left.
        """
        if self._link is not None:
            self._link.receive_with(None, self._valves.receive)
        self._client.backend_holds.remove(Hold.OTHER_SIDE_SLOW | Hold.MEMORY_SHORT)

    def _forget_client(self) -> None:
        if self._client.end is not None:
            self._environment.table.closing.add(self._client.end)
        self._client.leave()
        self._outbox.client_holds.attach(None)

    def _finish(self, event: Event, close: Close, cause: CloseCause) -> None:
        """Let go of everything; the last thing that a session does."""
        environment = self._environment
        self._state = after(self._state, event)
        self._recovery.stop()
        end = close, cause
        if self._flush is not None:  # the client has left, however the backend takes it
            end = self._flush.close, self._flush.cause
            self._flush.stop()
            self._flush = None
        self._account.close()
        self._forget_client()
        environment.counters.undelivered.value += self.undelivered
        environment.table.remove(self)
        environment.announcements.ended(self, close, was_opened=self._started)
        self._requests.acceptances.end(*end)
        self._valves.stop()
        self._outbox.close()
        # Whoever still calls is not heard; and no circle keeps the session from being freed.
        self.client_message = _ignore

    # What plugins and operators see and do

    @property
    def state(self) -> State:
        """Where the session is in its life."""
        return self._state

    @property
    def client(self) -> ClientEnd | None:
        """The client, as long as it can be sent to."""
        return self._client.end

    @property
    def headers(self) -> Headers:
        """The client's end-to-end headers."""
        return self._requests.client_headers

    @property
    def backend(self) -> PooledBackend | None:
        """The backend that serves it now."""
        return self._link.backend if self._link is not None else None

    @property
    def backend_id(self) -> str | None:
        """The id of this backend."""
        return self._link.backend.id if self._link is not None else None

    @property
    def route(self) -> str:
        """The id of its route; empty where the gateway has none."""
        return self._environment.route

    @property
    def plugins(self) -> PluginSet:
        """The plugins' objects that it uses."""
        return self._environment.plugins

    @property
    def group(self) -> str:
        """The name of the group of backends by which it can be served."""
        return self._environment.dialler.group

    @property
    def may_fail_over(self) -> bool:
        """Whether it may leave a backend for another."""
        return self._environment.failover.enabled

    @property
    def max_message_size(self) -> int:
        """Bytes that one of its messages may have."""
        return self._environment.limits.max_message_size

    @property
    def client_is_held(self) -> bool:
        """Whether the client is not read for now."""
        return bool(self._outbox.client_holds)

    @property
    def client_is_slow(self) -> bool:
        """Whether the backend is not read since the client takes no more for now."""
        return Hold.OTHER_SIDE_SLOW in self._client.backend_holds

    @property
    def unacknowledged(self) -> int:
        """Messages that the ledger holds."""
        return len(self._ledger)

    @property
    def undelivered(self) -> int:
        """How many of the client's messages are lost if it ends now."""
        return len(self._ledger) + self._valves.waiting

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes of these messages."""
        return self._ledger.bytes

    @property
    def messages_received(self) -> int:
        """Messages from the client that went on to the backend."""
        return self._account.messages_received

    @property
    def messages_sent(self) -> int:
        """Messages that the client was sent."""
        return self._account.messages_sent

    def count_traffic(self) -> None:
        """Add the bytes relayed since the last time to the metrics; called before they are read."""
        self._account.settle()

    def view(self) -> SessionView:
        """The session as listeners see it; always the same object."""
        if self._view is None:
            self._view = SessionView(self)
        return self._view

    # What the memory watch looks at

    @property
    def held_bytes(self) -> int:
        """Bytes that wait in it, on either side, for a valve or for an acknowledgement."""
        held = self._valves.held_bytes
        if self._ledger.weight:
            held += self._ledger.held_bytes
        if self._client.end is not None:
            held += self._client.end.held_bytes
        if self._link is not None:
            held += self._link.held_bytes
        return held

    @property
    def lasting_bytes(self) -> int:
        """Bytes that it takes until it ends: the client's headers, and for compression."""
        lasting = self._requests.header_bytes
        if self._client.end is not None:
            lasting += self._client.end.lasting_bytes
        if self._link is not None:
            lasting += self._link.lasting_bytes
        return lasting

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has come in part, whose rest would go on to the other side."""
        client, link = self._client.end, self._link
        if client is None:
            return False
        return client.is_in_a_message or (
            client.is_drained and link is not None and link.is_in_a_message
        )

    def hold_for_memory(self, hold: bool) -> None:
        """Stop or resume the reading of the client; of the backend too, while it brings more.

        That is while its replies wait to be read, or one of them has come in part.
        """
        client = self._client.end
        hold = hold and client is not None and self._client.dismissed is None
        self.is_held_for_memory = hold
        self._outbox.client_holds.switch(Hold.MEMORY_SHORT, hold)
        full = client is not None and not client.is_drained
        coming = self._link is not None and self._link.is_in_a_message
        self._client.backend_holds.switch(Hold.MEMORY_SHORT, hold and (full or coming))

    def answered(self, handle: Any) -> None:
        """Forget the message whose reply was seen."""
        self._outbox.answered(handle)

    def inject(self, message: Message, *, to_client: bool, start: int) -> None:
        """Let a plugin's message enter the chain of a direction at position `start`."""
        if self._state is not State.ENDED:
            self._valves.inject(message, to_client=to_client, start=start)

    def send_to_client(self, message: Message) -> ReplyOutcome:
        """Send the client a message of somebody else's, through the valves as if the backend had.

        Returns:
            What becomes of it; unless that is TAKEN, it was not sent.
        """
        outcome = self._client.outcome(message, self._environment.limits.max_message_size)
        if outcome is ReplyOutcome.TAKEN:
            self.inject(message, to_client=True, start=0)
        return outcome

    def after_current_message(self, action: Callable[[], None]) -> None:
        """Call `action` when the message that is in the valves is through, else soon."""
        if not self._valves.after_current(action):
            self._environment.clock.call_soon(action)


def _ignore(_message: Message) -> None:
    pass
