"""What a backend plugin implements (Backend, BackendConnection) and what it gets (Sink)."""

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


@dataclass(frozen=True, slots=True, weakref_slot=True)
class DialRequest:
    """One attempt to connect a session to a backend.

    All dials of one search for a backend get the same object.

    Attributes:
        session_id: unguessable; the same for the session's whole life.
        path: the client's request target in origin form: path and query as received.
        headers: the client's end-to-end headers and those that the gateway adds: forwarding,
            `X-Wsgw-Session` and, for a failover, the reconnect header and `X-Wsgw-Replayed`.
            Not among them: Host, Connection, Upgrade and every `Sec-WebSocket-*` field.
        subprotocols: the client's offers in its order.
        peer: the client's address as text; see Handshake.
        reconnect: whether the session had another backend before.
        seen_up_to: the number of the last message that an earlier backend may have seen; messages
            with greater numbers are new. 0 for a session's first backend; see NumberedConnection.
        route: the id of the session's route; empty if the gateway has no routes.
        host: the `Host` of the client's request; empty if it is not known.
    """

    session_id: str
    path: str
    headers: Headers = ()
    subprotocols: tuple[str, ...] = ()
    peer: str = ""
    reconnect: bool = False
    seen_up_to: int = 0
    route: str = ""
    host: str = ""


@runtime_checkable
class Sink(Protocol):
    """The session's side of one backend connection. All calls are plain, cheap and never block.

    Call it on the event loop's thread only. Call nothing before `start()` and nothing after
    `closed`; the only exception is the `closed` that follows a `close()` without a `start()`. The
    core ignores calls from the connection of an earlier backend.
    """

    def message(self, message: Message, /) -> bool:
        """Passes on one message from the backend; False: the client is gone."""

    def delivered(self, count: int, /) -> None:
        """Reports that the next `count` messages given to this connection's `send` arrived.

        Report in order, and each message once, including those that the plugin discards. Do not
        call it from inside `send`.
        """

    def writable(self, writable: bool, /) -> None:
        """Stops (False) or resumes (True) the reading of the client; False: the backend is slow."""

    def closed(self, close: Close, /) -> None:
        """Reports the end of the connection. Call it exactly once, also after `close()`.

        After `close()`, an end that is not abnormal acknowledges all that was sent before. So if
        the backend has begun to end at that moment, the end is abnormal, unless it had everything.
        First pass on messages that arrived before the end, even while paused; or delay the end
        until `resume`, like the messages. If the connection is lost before `start()`, report it
        after `start()`.

        `Close.meaning` says what the end means for the session. An error in one message is never a
        loss: report the message as delivered to discard it, or end its session with a close that is
        not abnormal.
        """


@runtime_checkable
class BackendConnection(Protocol):
    """One session's connection to one backend, made by `Backend.connect`.

    It is silent until `start()`: what arrives before waits. No method blocks, awaits or raises for
    I/O failures; it reports those by `Sink.closed`. No method calls the Sink before it returns. A
    method that raises is a fault of the plugin: wsgw logs it and ends the connection, as if it had
    reported `Close(1011, reason, abnormal=True)`.

    If a connection reports a message as delivered only when it has passed the answer on, it may set
    an attribute `delivered_is_answered` to true. A stopping gateway then closes the client after
    its answers.
    """

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the backend chose among the client's offers, or None."""

    @property
    def headers(self) -> Headers:
        """Header fields for the client's 101 answer."""

    def start(self) -> None:
        """Starts the connection; called once, when the client is ready.

        The connection may call the Sink from now on.
        """

    def send(self, message: Message, /) -> None:
        """Takes one message; called once for each message, in order, after `start()`.

        Ignore it after `close()` and after the end.
        """

    def pause(self) -> None:
        """Stops calling `Sink.message` soon, if possible at once; keeps what was already read.

        After `close`, which has a time limit, the connection may read the backend to its end.
        """

    def resume(self) -> None:
        """Calls `Sink.message` again."""

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """Ends the connection after everything sent so far has been passed on.

        The plugin limits the time this takes (`limits.close_timeout`; a timeout is an abnormal
        end). Then it calls `Sink.closed`, with the peer's code if there is one. A second call has
        no effect. Without `start()` the connection is dropped.

        Args:
            code: for a backend that gets close codes.
            reason: for such a backend too.
            cause: why it is closed. A session that moves is not over: a SessionTrackingBackend
                hears of the end of a session.
        """


@runtime_checkable
class NumberedConnection(BackendConnection, Protocol):
    """A connection whose messages have numbers.

    A session numbers its messages 1, 2, 3 and so on for its whole life, across backends, including
    messages that plugins inject. A message has the same number each time it is sent. On one
    connection numbers only grow, but some may be missing: those of messages that were delivered or
    answered before (see ReplyExpected).

    If messages wait in the connection before they are sent, it may have an attribute `unsent`. The
    core reads it after the end: the number of the last given messages that no backend can have
    seen. The next backend gets them as new ones.
    """

    def send_numbered(self, message: Message, number: int, /) -> None:
        """Takes one message like `send`, which then gets only hydrations.

        Hydrations have no number. They count for `Sink.delivered` like all other messages.
        """


@runtime_checkable
class PingableConnection(BackendConnection, Protocol):
    """A connection that can ping its backend, for `keepalive: end-to-end`."""

    def ping(self, on_answer: Callable[[], object], /) -> None:
        """Pings the backend; called after `start()`.

        Args:
            on_answer: call it when the backend has answered, but not before this method returns,
                and not after the end. After several pings, calling the last one is enough.
        """


@runtime_checkable
class HoldingConnection(BackendConnection, Protocol):
    """A connection that reports how many bytes it holds, so that `limits.memory` counts them.

    Implement it if messages can wait in the plugin. The core reads it regularly, also after the
    end. If the connection needs much memory as long as it lasts, for example for compression, add
    an attribute `lasting_bytes`.
    """

    @property
    def held_bytes(self) -> int:
        """Bytes of messages that wait: from the backend, and after `close` for it. Must be cheap.

        Before `close`, the session's ledger counts those for the backend.
        """

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message from it is incomplete; then it may be paused to save memory."""


@runtime_checkable
class Backend(Protocol):
    """One configured backend, made by the factory that a plugin registered."""

    async def open(self) -> None:
        """Prepares the backend; called once before the first `connect`. Need not use the network.

        Raises:
            ConfigurationError: the gateway does not start.
        """

    async def connect(self, request: DialRequest, sink: Sink) -> BackendConnection:
        """Connects one session.

        Called for each dial. The core limits the time (`failover.dial-timeout`) and may cancel the
        call, also when another backend has become the better choice. A cancelled or failed
        `connect` leaves nothing behind. An earlier connection of the same session may still be
        ending: the new one must not wait for it, and its end must not affect the new one.

        Raises:
            BackendUnavailable, BackendDeclined: see there. Anything else is logged as a fault of
                the plugin and counts as unavailable.
        """

    async def probe(self) -> None:
        """Checks the backend's health without a session; raises BackendUnavailable.

        A kind without such a check returns at once.
        """

    async def close(self) -> None:
        """Releases everything; called once at the end, also after a failed `open` or without one.

        By then the core has closed all connections. Return when they are over; limit that by
        `limits.close_timeout`. After three times that the call is cancelled.
        """


@runtime_checkable
class SessionTrackingBackend(Backend, Protocol):
    """A backend that hears when its sessions end."""

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Handles the end of a session; a plain call that must be quick.

        Called exactly once for each session for which `connect` has returned a connection, until
        `close` is called, whichever backend served it last and whether or not a connection is open.
        Not called for a move. The session's last connection may still be ending: what was sent to
        it comes first.

        Args:
            session_id: as in DialRequest.
            close: how it has ended; for a client that has left, as given to
                `BackendConnection.close`.
            cause: why.
        """


@runtime_checkable
class LingeringBackend(Backend, Protocol):
    """A backend that still works for its former sessions when it has no connections."""

    async def linger(self) -> None:
        """Returns when nothing more can come, or is due, for sessions that have moved away.

        Awaited when a backend was removed and its last connection is over, before `close`. Until
        then `session_ended` is still called. The gateway cancels it when it stops; the plugin
        limits the time.
        """


class Clock(Protocol):
    """Monotonic time in seconds and timers; an asyncio event loop is one."""

    def time(self) -> float:
        """Returns the current time."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Calls `callback(*args)` after `delay` seconds."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        """Calls `callback(*args)` in the next turn of the loop."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits within which a plugin works.

    Attributes:
        max_message_size: maximum bytes of one message, either direction, after decompression. A
            longer message from the backend is not an abnormal end, because another backend would
            get the same request: report `Close(1011, reason)`. After `close`, the end is as
            abnormal as any other.
        max_fragments: maximum frames of one message.
        ledger_messages, ledger_bytes: unacknowledged messages of one session; the core stops
            reading the client when either is reached, so acknowledge well before.
        write_high_water: when more bytes than this wait in a socket's write buffer, it is not
            writable; it is writable again below a quarter of this.
        close_timeout: maximum seconds of a closing handshake.
        slow_client_timeout: seconds for which a client may read next to nothing; 0: no limit.
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
        backend_id: the backend's id for operators.
        clock: time and timers.
        limits: the limits for every kind.
        ping_timeout: a backend that leaves a ping unanswered for so many seconds is lost.
        busy_timeout: the same for one connection while the backend answers other connections: its
            application may be busy. Not below `ping_timeout`.
        logger: for events, never for messages; its records have the field `backend`.
        metrics: counters that are shown beside the gateway's own.
        read_batch: for connections that write to a stream of their own; see ReadBatch.
        resolver: looks up names and connects; see Resolver.
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
        """Reports that the server or broker behind all sessions is lost.

        In the next turn of the loop, all connections of this backend end, as if each of them had
        reported `Close(1013, reason, abnormal=True)`. From then on the core sends them nothing and
        ignores calls of their Sinks, so pass on first what they hold. Sessions move to other
        backends, a few in each turn of the loop, and no message is suspected. A connection can
        still be paused, resumed or closed until its session moves.

        From now on the core refuses dials, except for one at a time that finds out whether the
        backend is back: the first at once, later ones after pauses of 0.25 to 1 second. Dials that
        come meanwhile wait for its answer. The backend is up again when `connect` has succeeded, or
        after `up`. A second call ends the connections made since.

        Args:
            reason: for the log and for operators; one line, no secrets.
        """
        self.control.down(reason)

    def up(self) -> None:
        """Reports that the backend takes dials again; without effect unless it is down."""
        self.control.up()

    def writable(self, writable: bool, /) -> None:
        """Reports whether the server or broker behind all sessions takes messages for now.

        False: wsgw stops reading the clients of all sessions of this backend, including later ones;
        it still sends what was read already. True: wsgw reads them again, as far as a connection's
        own `Sink.writable` allows. Both act in the next turn of the loop. `down` acts like True.
        """
        self.control.writable(writable)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """Sends a reply to a session's client, through the valves.

        Use it for replies that come after the session has left this backend; any backend may serve
        it now.

        Returns:
            The outcome; never HELD.
        """
        return self.control.deliver(session_id, message)
