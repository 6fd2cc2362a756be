"""The session's side of one backend connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...api import Close, Message
from ...metrics.traffic import Sizes

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from ...pool.backends.guarded_connection import GuardedConnection
    from ...pool.dialling.dial import Dialled
    from .hydration import HydrationRun
    from .ledger import Ledger


_NOWHERE = Sizes().counts  # for messages that are not counted here


class SinkReports(Protocol):
    """What receives a sink's reports about delivery: the outbox."""

    def delivered(self, count: int) -> None:
        """Forgets messages that the backend has acknowledged."""

    def backend_writable(self, writable: bool) -> None:
        """Pauses or resumes reading the client."""

    def stop_sending(self) -> None:
        """Gives the connection nothing more."""


class SessionSink:
    """The Sink of one backend connection: passes on what the connection reports.

    It passes nothing on before `open`, because a connection that the dialler discards may report
    its end, and nothing after `sever`, when the session has another backend.

    Attributes:
        connection, backend: set by `open`.
        hydration: the hydration under way, if any.
        was_hydrated: whether the backend was sent a hydration message.
        needs_no_hydration: whether the hydration was stopped, perhaps before it was set.
    """

    __slots__ = (
        "_end",
        "_hydrating",
        "_is_started",
        "_losses",
        "_on_closed",
        "_outbox",
        "_receive",
        "_sizes",
        "_unheard",
        "backend",
        "connection",
        "hydration",
        "needs_no_hydration",
        "was_hydrated",
    )

    connection: GuardedConnection
    backend: PooledBackend

    def __init__(self) -> None:
        self._on_closed: Callable[[Close], None] | None = None
        self._outbox: SinkReports | None = None
        self._receive: Callable[[Message], object] | None = None
        self._unheard: Callable[[Message], object] | None = None
        self._sizes = _NOWHERE
        self.hydration: HydrationRun | None = None
        self._is_started = False
        self._end: Close | None = None
        self._hydrating = 0  # sent to prepare the backend, not yet acknowledged
        self.was_hydrated = self.needs_no_hydration = False
        self._losses = 0

    def open(
        self,
        dialled: Dialled[SessionSink],
        outbox: SinkReports,
        on_closed: Callable[[Close], None],
    ) -> None:
        """Begins to pass on what the connection reports.

        Args:
            dialled: the connection and its backend.
            outbox: receives the reports about delivery.
            on_closed: called with the connection's end.
        """
        self._outbox = outbox
        self._on_closed = on_closed
        self.backend = dialled.backend
        self.connection = dialled.connection
        self._losses = dialled.losses
        self.backend.active += 1

    @property
    def is_lost(self) -> bool:
        """Whether the backend has lost all its connections since this one was dialled."""
        return self._losses != self.backend.losses

    def give(self, message: Message, number: int) -> None:
        """Sends a message of the ledger to the backend."""
        self.connection.send(message, number)

    def sender(self, ledger: Ledger) -> Callable[[Message], None]:
        """Returns the function that sends the backend each message just added to the ledger.

        It is the plugin's own, because it is called for every message: the caller passes what it
        raises to `send_failed`.
        """
        connection = self.connection
        if connection.has_failed:
            return connection.send_unnumbered
        numbered = connection.numbered
        if numbered is None:
            return connection.plugin_connection.send
        return lambda message: numbered(message, ledger.latest)

    def send_failed(self, error: Exception) -> None:
        """Ends the connection: the function of `sender` has raised an error."""
        is_numbered = self.connection.numbered is not None
        self.connection.failed("send_numbered" if is_numbered else "send", error)

    def receive_with(
        self,
        receive: Callable[[Message], object] | None,
        unheard: Callable[[Message], object] | None = None,
    ) -> None:
        """Sets which function receives the backend's messages.

        Args:
            receive: passes them on to the client; None: the client has gone.
            unheard: called instead when the client has gone; None: messages are dropped.
        """
        self._receive = receive
        self._unheard = unheard

    def count(self) -> None:
        """Counts the backend's messages; without valves all of them reach the client unchanged."""
        self._sizes = self.backend.traffic.to_client.counts

    def sever(self) -> None:
        """Passes nothing on any more, and forgets the connection."""
        self.stop_hydration()
        if self._outbox is not None:
            self._on_closed = self._outbox = self._receive = self._unheard = None
            self.backend.active -= 1
            del self.connection  # the connection refers to this sink: no reference circle stays

    def take_hydration(self, run: HydrationRun) -> None:
        """Sets the hydration; it starts once `begin_hydration` was called."""
        self.hydration = run
        if self._is_started:
            run.start()

    def begin_hydration(self) -> None:
        """Starts the hydration: the connection was started."""
        self._is_started = True
        if self.hydration is not None:
            self.hydration.start()

    def hydrate(self, message: Message) -> None:
        """Sends a hydration message to the backend."""
        self.was_hydrated = True
        self._hydrating += 1
        self.connection.send_unnumbered(message)

    def stop_hydration(self) -> None:
        """Stops the hydration, or does not start it."""
        self._is_started = False
        self.needs_no_hydration = True
        if self.hydration is not None:
            self.hydration.stop()
            self.hydration = None

    def pause_reading(self) -> None:
        """Pauses reading the backend; the time limit of a hydration pauses too."""
        if self.hydration is not None:
            self.hydration.pause(paused=True)
        self.connection.pause()

    def stop_reading(self) -> None:
        """Pauses reading; the plugin decides what becomes of what it has read already."""
        self.pause_reading()

    def resume_reading(self) -> None:
        """Reads the backend again."""
        if self.hydration is not None:
            self.hydration.pause(paused=False)
        self.connection.resume()

    @property
    def unsent(self) -> int:
        """How many messages, the last ones given, were not sent; see NumberedConnection."""
        return self.connection.unsent

    @property
    def delivered_is_answered(self) -> bool:
        """Whether a message counts as delivered only when it is answered; see BackendConnection."""
        return self.connection.delivered_is_answered

    @property
    def held_bytes(self) -> int:
        """Bytes that wait in the connection, if its plugin says so; see HoldingConnection."""
        return self.connection.held_bytes

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has arrived only in part; see HoldingConnection."""
        return self.connection.is_in_a_message

    @property
    def lasting_bytes(self) -> int:
        """Bytes that the connection needs as long as it lasts; see HoldingConnection."""
        return self.connection.lasting_bytes

    # What the connection calls

    def message(self, message: Message, /) -> bool:
        """See Sink."""
        receive = self._receive
        if receive is None:
            if self._unheard is not None:
                self._unheard(message)
            return False
        try:
            self._sizes[message.size + 127 >> 7] += 1
        except IndexError:
            if self._sizes is not _NOWHERE:
                self.backend.traffic.to_client.add_large(message.size)
        receive(message)
        return True

    def delivered(self, count: int, /) -> None:
        """See Sink."""
        if self._outbox is None or self.connection.has_failed:  # in a `send` perhaps: no count fits
            return
        if self._hydrating:
            hydrated = min(count, self._hydrating)
            self._hydrating -= hydrated
            count -= hydrated
        self._outbox.delivered(count)

    def writable(self, writable: bool, /) -> None:
        """See Sink."""
        if self._outbox is not None:
            self._outbox.backend_writable(writable)
            if self.hydration is not None:
                self.hydration.writable(writable)

    def closed(self, close: Close, /) -> None:
        """See Sink; if many connections of the backend end, the session learns it a little later.

        Until then its messages wait, and the connection counts as one that has not ended.
        """
        if self._on_closed is None or self._end is not None:
            return
        self._end = close
        if not self.backend.ends.call(self.take_end) and self._outbox is not None:
            self._outbox.stop_sending()

    def lose(self, close: Close) -> None:
        """Ends the connection, because its backend has lost all of them; hears it no more."""
        self._receive = self._unheard = None
        self.closed(close)

    def take_end(self) -> bool:
        """Tells the session now that the connection has ended; returns False if it has not."""
        if self._end is None or self._on_closed is None:
            return False
        self._on_closed(self._end)
        return True
