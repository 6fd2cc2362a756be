"""One client's websocket, whichever backend serves it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..api import BackendDeclined, Close, Handshake, Headers, Message
from ..pool.backend_pool import PooledBackend
from ..pool.dialler import Dialled, NoBackend
from ..websocket.close_codes import (
    GOING_AWAY,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TOO_BIG,
    TRY_AGAIN_LATER,
)
from .cautious_replay import CautiousReplay
from .client_end import ClientEnd
from .closing_flush import ClosingFlush, told_to_backend
from .dial_requests import DialRequests
from .environment import RelayEnvironment
from .failover import Failover
from .ledger import Ledger
from .link import Link
from .passed_pings import PassedPings
from .planned_move import PlannedMove
from .poison import Deaths
from .read_holds import Hold, ReadHolds
from .session_state import Event, State, after
from .session_valves import SessionValves
from .session_view import SessionView
from .traffic_account import TrafficAccount

_MOVED = "moved to another backend"


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
    """

    __slots__ = (
        "__weakref__",
        "_account",
        "_backend_close",
        "_backend_holds",
        "_cautious",
        "_client_end",
        "_client_holds",
        "_created",
        "_deaths",
        "_dismissed",
        "_environment",
        "_expiry_timer",
        "_failover",
        "_flush",
        "_ledger",
        "_link",
        "_move",
        "_pings",
        "_proved",
        "_requests",
        "_send",
        "_sent_messages",
        "_stable_timer",
        "_state",
        "_valves",
        "_view",
        "client",
        "client_message",
        "id",
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
        self._requests = DialRequests(session_id, handshake)
        self.subprotocol: str | None = None
        self.reconnects = 0
        self.plugin_state: dict[str, Any] | None = None
        self.client: ClientEnd | None = None  # as long as it can be sent to
        self._client_end: ClientEnd | None = None  # for its count
        self._sent_messages = 0  # the count, when it has ended
        self._created = False  # the listeners have been told
        self.client_message: Callable[[Message], None] = self.transmit
        self._environment = environment
        self._ledger = Ledger(
            environment.limits.ledger_bytes, environment.limits.for_plugins().message_share
        )
        self._ledger.hold_back()  # until there is a connection
        self._deaths = Deaths(self._ledger, environment.failover.max_replays)
        self._cautious: CautiousReplay | None = None
        self._move: PlannedMove | None = None
        self._dismissed: str | None = None  # the gateway closes the client, for this reason
        self._account = TrafficAccount(environment.counters.unassigned)
        self._state = State.DIALLING
        self._link: Link | None = None
        self._send: Callable[[Message], None] | None = None
        self._valves: SessionValves | None = None
        self._view: SessionView | None = None
        self._client_holds = ReadHolds()
        self._backend_holds = ReadHolds()
        self._backend_close: Close | None = None
        self._failover: Failover | None = None
        self._pings: PassedPings | None = None
        self._proved = False  # the backend, since the last dial
        self._stable_timer: asyncio.TimerHandle | None = None
        self._flush: ClosingFlush | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None

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
            self._valves = SessionValves(self, environment)
            self.client_message = self._valves.transmit
        dialled = await environment.dialler.dial(
            self._requests.first(), Link, timeout=environment.failover.dial_timeout
        )
        if self._state is State.ENDED:
            dialled.connection.close(GOING_AWAY)
            raise ClosedWhileOpening
        self._take(dialled)
        self.subprotocol = dialled.connection.subprotocol
        return dialled.connection.headers

    def start(self, client: ClientEnd) -> None:
        """Begin to relay: the client has been answered."""
        self._state = after(self._state, Event.BACKEND_READY)
        self.client = self._client_end = client
        self._environment.table.add(self)
        self._environment.counters.sessions.value += 1
        if self._link is not None:
            self._link.backend.traffic.sessions += 1
        self._log("opened at backend %s for client %s", self.backend_id, self.peer)
        self._created = True
        self._tell_listeners("session_created")
        self._begin_link()
        self._await_proof()

    # What the client's socket calls

    def client_writable(self, writable: bool) -> None:
        """Stop or resume the reading of the backend."""
        if writable:
            self._release_backend(Hold.OTHER_SIDE_SLOW)
        else:
            self._hold_backend(Hold.OTHER_SIDE_SLOW)

    def client_pinged(self, payload: bytes) -> None:
        """Have the backend answer a ping."""
        if self._pings is None:
            self._pings = PassedPings(self._answer_ping)
        self._pings.received(payload, self._link.connection if self._link is not None else None)

    def client_closed(self, close: Close, *, violation: bool = False) -> None:
        """Give the backend what is left, then the client's close.

        Args:
            close: what the client sent; 1006 when it was lost.
            violation: the client was closed for breaking the protocol or a limit.
        """
        if self._state is State.ENDED:
            return
        self.client = self._pings = None
        if self._dismissed is None:
            side = "gateway" if violation else "client"
            self._environment.counters.count_close(side, close.code)
        if violation:
            self._count_violation(close.code)
            self._log(
                "client broke the protocol: %d %s", close.code, close.reason, reason=close.reason
            )
        told = told_to_backend(close, violation=violation)
        self._flush = ClosingFlush(
            Close(GOING_AWAY, self._dismissed) if self._dismissed is not None else told,
            self._environment.clock,
            self._environment.limits.close_timeout,
            self._flush_overdue,
        )
        if self._link is not None:
            self._link.receive_with(None, self._unheard())
        self._release_backend(Hold.OTHER_SIDE_SLOW)
        if self._valves is not None:
            self._valves.when_transmitted(self._client_left)
        else:
            self._client_left()

    def _count_violation(self, code: int) -> None:
        counters = self._environment.counters
        counters.violations.value += 1
        if code == TOO_BIG:
            counters.messages_too_big.value += 1
        elif code == POLICY_VIOLATION:
            counters.messages_too_fragmented.value += 1

    # What valves and the view call

    def transmit(self, message: Message) -> None:
        """Owe the backend a message, and send it; called for each one, so all is done in place."""
        ledger = self._ledger
        ledger.entries.append(message)
        size = message.size
        weight = ledger.weight = ledger.weight + size + ledger.share
        try:
            self._account.outward[size + 127 >> 7] += 1
        except IndexError:
            self._account.outward_large(size)
        send = self._send
        if send is not None:
            send(message)
        if weight >= ledger.capacity:
            self._hold_client(Hold.LEDGER_FULL)

    def deliver(self, message: Message) -> None:
        """Send the client a message that came through the valves."""
        if self.client is not None and self._dismissed is None:
            self.client.send(message)
            size = message.size
            try:
                self._account.inward[size + 127 >> 7] += 1
            except IndexError:
                self._account.inward_large(size)

    def hold_client_for_valves(self, hold: bool) -> None:
        """Stop or resume the reading of the client, since a valve is slow."""
        if hold:
            self._hold_client(Hold.VALVES_BUSY)
        else:
            self._release_client(Hold.VALVES_BUSY)

    def hold_backend_for_valves(self, hold: bool) -> None:
        """Stop or resume the reading of the backend, since a valve is slow."""
        if hold:
            self._hold_backend(Hold.VALVES_BUSY)
        else:
            self._release_backend(Hold.VALVES_BUSY)

    def answered(self, handle: Any) -> None:
        """Forget the message whose reply was seen."""
        self._ledger.answered(handle)
        self._ledger_shrank()

    # What the link calls

    def messages_delivered(self, count: int) -> None:
        """Forget messages that the backend has."""
        if not count:
            return
        ledger, now = self._ledger, self._environment.clock.time()
        ledger.delivered(count, now)
        self._environment.counters.replies_expired.value += ledger.expire(now)
        if not self._proved:
            self._backend_proved()
        self._ledger_shrank()

    def backend_writable(self, writable: bool) -> None:
        """Stop or resume the reading of the client."""
        if writable:
            self._release_client(Hold.OTHER_SIDE_SLOW)
        else:
            self._hold_client(Hold.OTHER_SIDE_SLOW)

    def backend_closed(self, close: Close) -> None:
        """Pass a normal end on; look for another backend after an abnormal one."""
        self._deaths.note(close, alone=self._cautious is not None)
        lost = self._let_go()
        self._log(
            "backend %s closed: %d %s",
            lost.id,
            close.code,
            close.reason,
            backend=lost.id,
            reason=f"{close.code} {close.reason}".rstrip(),
        )
        if self._state is State.LEAVING:
            if not close.abnormal:
                self._ledger.delivered_all(self._environment.clock.time())
            self._look_for_another(lost)
            return
        if close.abnormal and not self._proved:
            reason = f"connection lost at once: {close.code} {close.reason}".rstrip()
            lost.failed(self._environment.clock.time(), reason)
        flushing = self._state is State.FLUSHING
        if close.abnormal or not flushing:  # else it has answered ours
            self._environment.counters.count_close("backend", close.code)
        owing = bool(self._ledger) or not flushing
        if close.abnormal and owing and self._environment.failover.enabled:
            self._environment.counters.failovers.value += 1
            self._look_for_another(lost)
            if self._deaths.is_poison:
                self._end_poisoned()
        elif flushing:
            self._finish(Event.GIVEN_UP if close.abnormal else Event.BACKEND_CLOSED, close)
        else:
            self._backend_close = close
            if self._valves is not None:
                self._valves.when_delivered(self._pass_close_on)
            else:
                self._pass_close_on()

    # Ending

    @property
    def state(self) -> State:
        """Where the session is in its life."""
        return self._state

    def close(self, code: int, reason: str = "", *, backend_code: int = GOING_AWAY) -> None:
        """End the session now, whatever its state; client and backend see these codes."""
        if self._state is State.ENDED:
            return
        if self.client is not None and self._dismissed is None:
            self._environment.counters.count_close("gateway", code)
            self.client.close(code, reason)
        self._drop_link(backend_code, reason)
        self._finish(Event.GIVEN_UP, Close(code, reason))

    def dismiss(self, code: int, reason: str = "") -> None:
        """Close the client; what it still says until it answers goes on to the backend.

        So nothing is lost that the client believes to be sent. Bounded by `limits.close-timeout`,
        for the client's answer and for the backend each.
        """
        if self._state is State.ENDED or self.client is None or self._dismissed is not None:
            return
        self._dismissed = reason
        self._environment.counters.count_close("gateway", code)
        if self._link is not None:
            self._link.receive_with(None, self._unheard())
        self._release_backend(Hold.OTHER_SIDE_SLOW)
        self.client.close(code, reason)
        if self._client_holds:
            self.client.pause_reading()

    def fail_over(self) -> None:
        """Leave the backend for another now; without effect while there is none."""
        if self._state in (State.RELAYING, State.SETTLING) and self._link is not None:
            connection = self._link.connection
            lost = self._let_go()
            connection.close(GOING_AWAY, _MOVED)
            self._environment.counters.failovers.value += 1
            self._look_for_another(lost)

    def move(self) -> bool:
        """Leave the backend for another as soon as nobody can miss anything.

        Returns:
            False when that is not possible now: while the session has no backend, opens or ends,
            while its backend must still prove itself, or without failover.
        """
        environment = self._environment
        movable = self._state is State.RELAYING and self._send is not None
        if not movable or self.client is None or not environment.failover.enabled:
            return False
        self._state = after(self._state, Event.MOVE_PLANNED)
        self._send = None
        self._ledger.hold_back()
        self._move = PlannedMove(
            self._ledger,
            environment.drain,
            environment.clock,
            replies=lambda: self.messages_sent,
            client_is_slow=lambda: bool(self._backend_holds),
            leave=self._leave,
        )
        return True

    # Views for plugins

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
        """The backend that serves now."""
        return self._link.backend.id if self._link is not None else None

    @property
    def client_is_held(self) -> bool:
        """Whether the client is not read for now."""
        return bool(self._client_holds)

    @property
    def client_is_slow(self) -> bool:
        """Whether the backend is not read since the client takes no more for now."""
        return Hold.OTHER_SIDE_SLOW in self._backend_holds

    @property
    def unacknowledged(self) -> int:
        """Messages that the ledger holds."""
        return len(self._ledger)

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes of these messages."""
        return self._ledger.bytes

    def count_traffic(self) -> None:
        """Add the bytes relayed since the last time to the metrics; called before they are read."""
        end = self._client_end
        if end is not None:
            self._account.settle(self._ledger, end.sent_bytes)

    @property
    def messages_received(self) -> int:
        """Messages from the client that went on to the backend."""
        return self._ledger.settled_messages + len(self._ledger)

    @property
    def messages_sent(self) -> int:
        """Messages that the client was sent."""
        end = self._client_end
        return end.sent_messages if end is not None else self._sent_messages

    def view(self) -> SessionView:
        """The session as listeners see it; always the same object."""
        if self._view is None:
            self._view = SessionView(self)
        return self._view

    def inject(self, message: Message, *, to_client: bool, start: int) -> None:
        """Let a plugin's message enter the chain of a direction at position `start`."""
        if self._state is State.ENDED:
            return
        if self._valves is not None:
            self._valves.inject(message, to_client=to_client, start=start)
        elif to_client:
            self.deliver(message)
        else:
            self.transmit(message)

    def after_current_message(self, action: Callable[[], None]) -> None:
        """Call `action` when the message that is in the valves is through, else soon."""
        if self._valves is None or not self._valves.after_current(action):
            self._environment.clock.call_soon(action)

    # The link to the backend

    def _take(self, dialled: Dialled[Link]) -> None:
        self._link = dialled.sink
        self._link.open(self, dialled.backend, dialled.connection)
        self.count_traffic()
        self._account.move(dialled.backend.traffic)
        if self._valves is None:
            self._link.count()

    def _begin_link(self) -> None:
        """Start the connection, and give it what it is owed."""
        assert self._link is not None  # noqa: S101 - for the type checker
        connection = self._link.connection
        self._link.receive_with(self._inward(), self._unheard())
        connection.start()
        if self.reconnects and self._valves is not None:
            self._link.hydrate(self._valves.hydrations())
        if self._deaths.is_suspicious:
            self._cautious = CautiousReplay(
                self._ledger,
                self._deaths,
                connection.send,
                self._give_the_rest,
                self._environment.suspect_turns,
                self._link.backend,
            )
        else:
            self._give_the_rest()
        if self._backend_holds:
            connection.pause()
        if self._pings is not None:
            self._pings.pass_on(connection)
        if self._state is State.FLUSHING and self._flush is not None:
            self._flush.passed_on = False
            self._close_flushed()

    def _give_the_rest(self) -> None:
        """Send what the connection was not given yet, in few writes, and then whatever comes."""
        assert self._link is not None  # noqa: S101 - for the type checker
        self._cautious = None
        send = self._link.connection.send
        batch = self._environment.read_batch
        batch.is_open = True
        for message in self._ledger.ungiven():
            send(message)
        batch.close()
        self._ledger.gave_all()
        self._send = send

    def _inward(self) -> Callable[[Message], object] | None:
        """Return what takes the backend's messages."""
        if self.client is None or self._dismissed is not None:
            return None
        return self._valves.receive if self._valves is not None else self.client.send

    def _unheard(self) -> Callable[[Message], object] | None:
        """Return what still sees the backend's messages when the client has gone.

        A valve may wait for an answer to what the client has left.
        """
        return self._valves.receive if self._valves is not None else None

    def _answer_ping(self, payload: bytes) -> None:
        if self.client is not None and self._dismissed is None:
            self.client.pong(payload)

    def _let_go(self) -> PooledBackend:
        """Sever the link to the backend; the connection's end is somebody else's business."""
        assert self._link is not None  # noqa: S101 - for the type checker
        link, self._link, self._send = self._link, None, None
        link.sever()
        self.count_traffic()
        self._account.move(None)
        if self._pings is not None:
            self._pings.pass_on(None)
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.stop()
        if self._move is not None:
            self._move.stop()
            self._move = None
        if self._stable_timer is not None:
            self._stable_timer.cancel()
            self._stable_timer = None
        self._release_client(Hold.OTHER_SIDE_SLOW)
        return link.backend

    def _drop_link(self, code: int, reason: str) -> None:
        if self._link is not None:
            connection = self._link.connection
            self._let_go()
            connection.close(code, reason)

    # Failover

    def _look_for_another(self, lost: PooledBackend) -> None:
        environment = self._environment
        now = environment.clock.time()
        self._state = after(self._state, Event.BACKEND_LOST)
        environment.counters.replies_expired.value += self._ledger.expire(now)
        if environment.failover.delivery == "at-most-once":
            environment.counters.undelivered.value += self._ledger.forget_given()
        self._ledger.rewind()
        self._ledger_shrank()
        if self._failover is None:
            self._failover = Failover(environment.failover, now, lost)
        else:
            self._failover.lost_again(lost)
            self._failover.lost_at = now
        self._failover.search(self._dial_again, environment.clock, self._resume, self._not_found)

    def _not_found(self, failover: Failover, error: Exception) -> None:
        """End the session: no other backend serves it."""
        if isinstance(error, BackendDeclined):
            self.close(POLICY_VIOLATION, f"declined by the backend with status {error.status}")
        elif isinstance(error, NoBackend):
            self._environment.counters.holds_expired.value += 1
            self._log("no backend: %s", error, reason=str(error))
            self.close(TRY_AGAIN_LATER, "no backend available")
        else:
            self._environment.logger.error(
                "session %s: fault in the failover", self.id, exc_info=error
            )
            self.close(INTERNAL_ERROR, "internal error")

    async def _dial_again(self, deadline: float | None, last: PooledBackend) -> Dialled[Link]:
        environment = self._environment
        return await environment.dialler.dial(
            self._requests.again(
                self.subprotocol,
                self._ledger.replayable,
                reconnect_header=environment.reconnect_header,
            ),
            Link,
            timeout=environment.failover.dial_timeout,
            deadline=deadline,
            last=last,
        )

    def _resume(self, failover: Failover, dialled: Dialled[Link]) -> None:
        """Go on with another backend."""
        environment = self._environment
        self._state = after(self._state, Event.BACKEND_READY)
        self.reconnects += 1
        self._take(dialled)
        environment.counters.replayed.value += self._ledger.replayable
        environment.counters.failover_durations.observe(environment.clock.time() - failover.lost_at)
        self._log(
            "moved from %s to %s, %d messages replayed",
            failover.last.id,
            dialled.backend.id,
            self._ledger.replayable,
        )
        self._tell_listeners("session_failed_over", failover.last.id, dialled.backend.id)
        self._begin_link()
        self._await_proof()

    def _await_proof(self) -> None:
        self._proved = False
        self._stable_timer = self._environment.clock.call_later(
            self._environment.failover.stable, self._backend_lasts
        )

    def _backend_proved(self) -> None:
        """Trust the backend: it has acknowledged something, or its connection lasts."""
        self._proved = True
        if self._link is not None:
            self._link.backend.breaker.proved()
        if self._failover is not None:
            self._failover.progressed(self._environment.clock.time())

    def _backend_lasts(self) -> None:
        """End the failover, if there is one."""
        self._failover = self._stable_timer = None
        if not self._proved:
            self._backend_proved()
        if self._cautious is not None:
            self._cautious.begin()

    def _leave(self) -> None:
        """Tell the backend that the session moves; its end is waited for."""
        assert self._link is not None  # noqa: S101 - for the type checker
        self._state = after(self._state, Event.SETTLED)
        self._environment.counters.moves.value += 1
        self._link.connection.close(GOING_AWAY, _MOVED)

    # Ends

    def _end_poisoned(self) -> None:
        """End the session whose oldest message has ended one backend after the other."""
        environment, message = self._environment, self._ledger.entries[0]
        environment.counters.poisoned.value += 1
        environment.logger.warning(
            "session %s: backends were lost again and again with the same message (%s, %d bytes)"
            " under way: the session is ended",
            self.id,
            message.kind.name.lower(),
            message.size,
        )
        self.close(INTERNAL_ERROR, "a message has ended several backends")

    def _pass_close_on(self) -> None:
        """Close the client as the backend has closed us."""
        close = self._backend_close
        if self._state not in (State.RELAYING, State.SETTLING) or close is None:
            return
        if self.client is not None and self._dismissed is None:
            self.client.close(close.code, close.reason)
        self._finish(Event.BACKEND_CLOSED, close)

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
            self._finish(Event.GIVEN_UP, self._flush.close)
            return
        self._state = after(self._state, Event.CLIENT_CLOSED)
        if self._state is State.FLUSHING:
            self._close_flushed()

    def _stay(self) -> None:
        """Give up a planned move: the client leaves, so nobody would be moved."""
        assert self._move is not None  # noqa: S101 - for the type checker
        self._move.stop()
        self._move = None
        self._give_the_rest()

    def _close_flushed(self) -> None:
        """Pass the client's close on, once nothing is owed any more."""
        if self._link is not None and self._flush is not None and not self._ledger:
            self._send = None  # a plugin may still have something to say, for the next backend
            self._ledger.hold_back()
            self._flush.pass_on(self._link.connection)

    def _flush_overdue(self) -> None:
        assert self._flush is not None  # noqa: S101 - for the type checker
        close = self._flush.close
        self._drop_link(close.code, close.reason)
        self._finish(Event.GIVEN_UP, close)

    def _finish(self, event: Event, close: Close) -> None:
        """Let go of everything; the last thing that a session does."""
        environment = self._environment
        self._state = after(self._state, event)
        if self._failover is not None:
            self._failover.stop()
        for timer in (self._stable_timer, self._expiry_timer):
            if timer is not None:
                timer.cancel()
        self._stable_timer = self._expiry_timer = None
        if self._flush is not None:
            self._flush.stop()
            self._flush = None
        self.count_traffic()
        self._sent_messages, self._client_end = self.messages_sent, None
        self.client = self._pings = None
        left = len(self._ledger)
        environment.counters.undelivered.value += left
        environment.table.remove(self)
        self._log(
            "ended: %d %s; %d unacknowledged",
            close.code,
            close.reason,
            left,
            reason=f"{close.code} {close.reason}".rstrip(),
        )
        if self._created:
            self._tell_listeners("session_terminated", close)
        if self._valves is not None:
            self._valves.stop()
        self._ledger.close()
        # Whoever still calls is not heard; and no circle keeps the session from being freed.
        self.client_message = _ignore

    # What is read

    def _hold_client(self, reason: Hold) -> None:
        if self._client_holds.add(reason) and self.client is not None:
            self._environment.counters.read_pauses.value += 1
            self.client.pause_reading()

    def _release_client(self, reason: Hold) -> None:
        if self._client_holds.remove(reason) and self.client is not None:
            self.client.resume_reading()

    def _hold_backend(self, reason: Hold) -> None:
        if self._backend_holds.add(reason) and self._link is not None:
            self._link.connection.pause()

    def _release_backend(self, reason: Hold) -> None:
        if self._backend_holds.remove(reason) and self._link is not None:
            self._link.connection.resume()

    def _ledger_shrank(self) -> None:
        if self._cautious is not None:
            self._cautious.go_on()
        if self._flush is not None:
            if self._state is State.FLUSHING:
                self._close_flushed()
        elif not self._client_holds:
            return
        if self._ledger.roomy:
            self._release_client(Hold.LEDGER_FULL)
        if not (self._client_holds or self._flush):
            return
        if self._expiry_timer is None and (due := self._ledger.next_expiry) is not None:
            # A client that is not read, or has left, sends nothing whose delivery would have
            # replies expire.
            delay = max(0.0, due - self._environment.clock.time())
            self._expiry_timer = self._environment.clock.call_later(delay, self._expire, due)

    def _expire(self, due: float) -> None:
        self._expiry_timer = None
        expired = self._ledger.expire(due)
        self._environment.counters.replies_expired.value += expired
        self._ledger_shrank()

    # Events

    def _tell_listeners(self, method: str, *arguments: Any) -> None:
        for listener in self._environment.listeners:
            try:
                getattr(listener, method)(self.view(), *arguments)
            except Exception:
                self._environment.counters.listener_errors.value += 1
                self._environment.logger.exception("session %s: fault in a listener", self.id)

    def _log(
        self, text: str, *arguments: Any, backend: str | None = None, reason: str | None = None
    ) -> None:
        logger = self._environment.logger
        if logger.isEnabledFor(logging.INFO):
            fields = {
                "session": self.id,
                "backend": backend or self.backend_id,
                "reason": reason,
            }
            logger.info("session %s: %s", self.id, text % arguments, extra=fields)


def _ignore(_message: Message) -> None:
    pass
