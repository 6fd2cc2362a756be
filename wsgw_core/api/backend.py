"""What a backend plugin provides (Backend, BackendConnection) and what it is given (Sink)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .backend_control import BackendControl, ReplyOutcome
from .close import Close, CloseCause
from .message import Message
from .metrics import Metrics
from .read_batch import ReadBatch
from .resolver import Resolver

Headers = tuple[tuple[str, str], ...]
"""Header fields in the order received, several of one name included; values are ISO-8859-1."""


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One attempt to give a session a backend.

    Attributes:
        session_id: unguessable, the same for the session's whole life.
        path: the client's request target in origin form: path and query as received.
        headers: the client's end-to-end headers and those that the gateway adds: forwarding,
            `X-Wsgw-Session` and, for a failover, the reconnect header and `X-Wsgw-Replayed`.
            Not among them: Host, Connection, Upgrade and every `Sec-WebSocket-*` field.
        subprotocols: the client's offers in its order.
        peer: the client's address as text; see Handshake.
        reconnect: this is not the session's first backend.
        seen_up_to: the number of the last message that an earlier backend may have seen: messages
            of greater numbers are new. 0 for a session's first backend; see NumberedConnection.
        route: the id of the session's route; empty where the gateway has none.
    """

    session_id: str
    path: str
    headers: Headers = ()
    subprotocols: tuple[str, ...] = ()
    peer: str = ""
    reconnect: bool = False
    seen_up_to: int = 0
    route: str = ""


@runtime_checkable
class Sink(Protocol):
    """The session's side of one backend connection. Plain calls, cheap, never blocking.

    Called on the event loop's thread only. Nothing may be called before `start()` nor after
    `closed`, but for the `closed` that answers a `close()` without a `start()`. The core ignores
    what comes from the connection of an earlier backend.
    """

    def message(self, message: Message, /) -> bool:
        """Pass on one message from the backend; False: the client is gone."""
        ...

    def delivered(self, count: int, /) -> None:
        """Report that the next `count` messages given to this connection's `send` arrived.

        In order; each message is reported once; those that the plugin chose to discard included.
        Not from inside `send`.
        """
        ...

    def writable(self, writable: bool, /) -> None:
        """False: do not read the client for now, the backend is slow; True: go on."""
        ...

    def closed(self, close: Close, /) -> None:
        """The connection is over. Exactly once, also after `close()` was called.

        After `close()`, an end that is not abnormal acknowledges all that was sent before. Messages
        that arrived before the end are passed on first: even while paused, or the end waits for
        `resume` as they do. A connection that is lost before `start()` says so after it.

        What the end means for the session, `Close.meaning` says. What a backend thinks of one
        message is never a loss: report the message as delivered to discard it, or end its session
        with a close that is not abnormal.
        """
        ...


@runtime_checkable
class BackendConnection(Protocol):
    """One session's connection to one backend, made by `Backend.connect`.

    Silent until `start()`: what arrives before waits. No method blocks, awaits or raises for I/O
    failures; those are reported by `Sink.closed`. No method calls the Sink before it returns.
    """

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the backend chose among the client's offers, or None."""
        ...

    @property
    def headers(self) -> Headers:
        """Header fields for the client's 101 answer."""
        ...

    def start(self) -> None:
        """Called once, when the client is ready: from now on the Sink may be called."""
        ...

    def send(self, message: Message, /) -> None:
        """Take one message, in order; called once for each, after `start()`.

        Ignored after `close()` and after the end.
        """
        ...

    def pause(self) -> None:
        """Stop calling `Sink.message` soon; better at once, and keep what was read already.

        After `close`, which has a bound, the backend may be read to its end all the same.
        """
        ...

    def resume(self) -> None:
        """Undo `pause`."""
        ...

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """End the connection after everything sent so far has been passed on.

        The plugin bounds the time this takes (`limits.close_timeout`; out of time is an abnormal
        end); then comes `Sink.closed`, with the peer's code where it has one. Called again: no
        effect. Called without `start()`: the connection is dropped.

        Args:
            code: for a backend that is told how the connection ends.
            reason: for it too.
            cause: why it is closed. A session that moves is not over: of its end hears a
                SessionTrackingBackend.
        """
        ...


@runtime_checkable
class NumberedConnection(BackendConnection, Protocol):
    """A connection whose messages come with their numbers.

    A session numbers its messages 1, 2, 3 and so on for its whole life, whichever backend serves,
    those that plugins inject included. A message has the same number each time it is sent. Numbers
    only grow on one connection, but some may be missing: those of messages that were delivered
    before, or answered (see ReplyExpected).
    """

    def send_numbered(self, message: Message, number: int, /) -> None:
        """Take one message as `send` does, which then gets nothing but hydrations.

        Hydrations have no number. They count for `Sink.delivered` as all other messages.
        """
        ...


@runtime_checkable
class PingableConnection(BackendConnection, Protocol):
    """A connection whose backend can be asked for a sign of life, for `keepalive: end-to-end`."""

    def ping(self, on_answer: Callable[[], object], /) -> None:
        """Ask the backend; after `start()`.

        Args:
            on_answer: called once the backend has answered, not before this returns, and not after
                the end. Asked again before that, only the last one need be called.
        """
        ...


@runtime_checkable
class HoldingConnection(BackendConnection, Protocol):
    """A connection that tells what it holds, so that `limits.memory` counts it.

    To be implemented where messages can wait in the plugin; asked every now and then, also after
    the end. One that takes much memory as long as it lasts, for compression for example, also has
    an attribute `lasting_bytes`.
    """

    @property
    def held_bytes(self) -> int:
        """Bytes of messages that wait: from the backend, and for it after `close`; cheap.

        Before `close`, those for the backend are in the session's ledger, and counted there.
        """
        ...

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message from it has come in part; it may be paused then, to save memory."""
        ...


@runtime_checkable
class Backend(Protocol):
    """One configured backend. Made by the factory that a plugin registered."""

    async def open(self) -> None:
        """Called once before the first `connect`; need not reach the network.

        Raises:
            ConfigurationError: the gateway does not start.
        """
        ...

    async def connect(self, request: DialRequest, sink: Sink) -> BackendConnection:
        """Give one session a connection.

        Called for each dial. The core bounds the time (`failover.dial-timeout`) and cancels, also
        when another backend is the better choice meanwhile; a cancelled or failed `connect` leaves
        nothing behind. An earlier connection of the same session may still be ending: the new one
        must not wait for it, nor be touched by its end.

        Raises:
            BackendUnavailable, BackendDeclined: see there. Anything else is logged as a fault of
                the plugin and counts as unavailable.
        """
        ...

    async def probe(self) -> None:
        """Check the backend's health without a session; raises BackendUnavailable.

        A kind that has no such check returns at once.
        """
        ...

    async def close(self) -> None:
        """Called once at the end, also after a failed `open`, or without one.

        All connections have been asked to close by then; return when they are over, which
        `limits.close_timeout` bounds.
        """
        ...


@runtime_checkable
class SessionTrackingBackend(Backend, Protocol):
    """A backend that hears of the ends of its sessions."""

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Hear that a session is over; a plain call that must be quick.

        Called exactly once for each session for which `connect` has returned a connection, wherever
        it was served last and whether or not a connection is open, until `close` is called. Not
        called for a move. The session's last connection may still be ending: what was sent to it
        comes first.

        Args:
            session_id: as in DialRequest.
            close: how it has ended; for a client that has left, as `BackendConnection.close` tells.
            cause: why.
        """
        ...


class Clock(Protocol):
    """Monotonic time in seconds and timers; an asyncio event loop is one."""

    def time(self) -> float:
        """Return the current time."""
        ...

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Call `callback(*args)` after `delay` seconds."""
        ...

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        """Call `callback(*args)` in the next turn of the loop."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds within which a plugin works.

    Attributes:
        max_message_size: bytes of one message, either direction, after decompression. A backend
            that sends a longer one is no abnormal end, since another would be asked for it too:
            report `Close(1011, reason)`; once `close` was called, nobody wants it any more, and
            the end is as abnormal as any other.
        max_fragments: frames that one message may come in.
        ledger_messages, ledger_bytes: unacknowledged messages of one session; the core stops
            reading the client when either is reached, so acknowledge well before.
        write_high_water: bytes waiting in a socket's write buffer above which it is not writable;
            writable again below a quarter of it.
        close_timeout: seconds that a closing handshake may take.
        slow_client_timeout: seconds for which a client may take next to nothing; 0: no such bound.
    """

    max_message_size: int = 1024 * 1024
    max_fragments: int = 4096
    ledger_messages: int = 4096
    ledger_bytes: int = 2 * 1024 * 1024
    write_high_water: int = 64 * 1024
    close_timeout: float = 10.0
    slow_client_timeout: float = 60.0

    @property
    def message_share(self) -> int:
        """What a message weighs in the ledger besides its payload.

        With it one bound, `ledger_bytes`, keeps both: no more than `ledger_messages` fit.
        """
        return -(-self.ledger_bytes // self.ledger_messages)


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend factory is given besides its options.

    Attributes:
        backend_id: the id under which operators know this backend.
        clock: time and timers.
        limits: bounds that hold for every kind.
        ping_timeout: seconds after which an unanswered liveness check means death.
        busy_timeout: the same for one connection while the backend answers elsewhere: its
            application may be at work. Not below `ping_timeout`.
        logger: for events, never for messages.
        metrics: plain counters that are shown beside the gateway's own.
        read_batch: for connections that write to a stream of their own; see ReadBatch.
        resolver: looks names up and connects; see Resolver.
        control: what the methods call.
    """

    backend_id: str
    clock: Clock
    limits: Limits
    ping_timeout: float
    busy_timeout: float
    logger: logging.Logger
    metrics: Metrics
    read_batch: ReadBatch
    resolver: Resolver
    control: BackendControl

    def down(self, reason: str) -> None:
        """Say that nobody can be served: the server or broker behind all sessions is lost.

        In the next turn of the loop, all connections of this backend end at once, as if each of
        them had reported `Close(1013, reason, abnormal=True)`: nothing is called on them any more,
        and their Sinks are not heard. So pass on first what they hold. Sessions move to other
        backends, and no message is suspected.

        From now on dials are refused, but for one at a time that finds out whether the backend is
        back: the first at once, later ones after pauses of 0.25 to 1 second. Dials that come
        meanwhile wait for its answer. The backend is up again when `connect` has succeeded, or
        after `up`. Called again: ends what has been connected since.

        Args:
            reason: for the log and for operators; one line, no secrets.
        """
        self.control.down(reason)

    def up(self) -> None:
        """Say that dials are welcome again; without effect while it is not down."""
        self.control.up()

    def writable(self, writable: bool, /) -> None:
        """Say whether the server or broker behind all sessions takes messages for now.

        False: the clients of all sessions of this backend are not read, those that come later
        included; what was read already is still sent. True: undone, in so far as a connection's own
        `Sink.writable` allows. Both act in the next turn of the loop. `down` undoes it too.
        """
        self.control.writable(writable)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """Send a session's client a reply, whichever backend serves the session now.

        It passes the valves. For replies that have no connection of this backend to come through:
        late ones, after the session has moved.

        Returns:
            What has become of it; never HELD.
        """
        return self.control.deliver(session_id, message)
