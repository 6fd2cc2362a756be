"""The session's side of one backend connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...api import BackendConnection, Close, Message, Sink
from ...metrics.traffic import Sizes

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from ...pool.dialling.dial import Dialled
    from .hydration import HydrationRun
    from .ledger import Ledger
    from .outbox import Outbox


_NOWHERE = Sizes().counts  # what is not counted here


class SessionSink:
    """The Sink of one backend connection: passes on what the connection reports.

    It passes nothing on before `open`, because a connection that the dialler discards may report
    its end, and nothing after `sever`, when the session has another backend.

    Attributes:
        connection, backend: set by `open`.
        hydration: the hydration under way, if any.
        was_hydrated: whether the backend was sent a hydration message.
    """

    __slots__ = (
        "_hydrating",
        "_is_started",
        "_losses",
        "_numbered",
        "_on_closed",
        "_outbox",
        "_receive",
        "_sizes",
        "_unheard",
        "backend",
        "connection",
        "hydration",
        "was_hydrated",
    )

    connection: BackendConnection
    backend: PooledBackend

    def __init__(self) -> None:
        self._on_closed: Callable[[Close], None] | None = None
        self._outbox: Outbox | None = None
        self._receive: Callable[[Message], object] | None = None
        self._unheard: Callable[[Message], object] | None = None
        self._sizes = _NOWHERE
        self.hydration: HydrationRun | None = None
        self._is_started = False
        self._hydrating = 0  # sent to prepare the backend, not yet acknowledged
        self.was_hydrated = False
        self._numbered: Callable[[Message, int], None] | None = None
        self._losses = 0

    def open(
        self,
        dialled: Dialled[SessionSink],
        outbox: Outbox,
        on_closed: Callable[[Close], None],
    ) -> None:
        """Begin to pass on what the connection reports.

        Args:
            dialled: the connection and its backend.
            outbox: receives the reports of delivery and of congestion.
            on_closed: called with the connection's end.
        """
        self._outbox = outbox
        self._on_closed = on_closed
        self.backend = dialled.backend
        self.connection = dialled.connection
        self._losses = dialled.losses
        self._numbered = getattr(dialled.connection, "send_numbered", None)
        self.backend.active += 1

    @property
    def is_lost(self) -> bool:
        """Whether the backend has lost all its connections since this one was dialled."""
        return self._losses != self.backend.losses

    def give(self, message: Message, number: int) -> None:
        """Give the connection a message of the ledger."""
        if self._numbered is None:
            self.connection.send(message)
        else:
            self._numbered(message, number)

    def sender(self, ledger: Ledger) -> Callable[[Message], None]:
        """Return what gives it the message that the ledger was given last, for each one."""
        numbered = self._numbered
        if numbered is None:
            return self.connection.send
        return lambda message: numbered(message, ledger.latest)

    def receive_with(
        self,
        receive: Callable[[Message], object] | None,
        unheard: Callable[[Message], object] | None = None,
    ) -> None:
        """Set where the backend's messages go.

        Args:
            receive: for the client; None: it is gone.
            unheard: sees what comes when it is gone.
        """
        self._receive = receive
        self._unheard = unheard

    def count(self) -> None:
        """Count what comes: nothing will change it or drop it on its way to the client."""
        self._sizes = self.backend.traffic.to_client.counts

    def sever(self) -> None:
        """Let nothing through any more."""
        self.stop_hydration()
        if self._outbox is not None:
            self._on_closed = self._outbox = self._receive = self._unheard = self._numbered = None
            self.backend.active -= 1
            del self.connection  # which refers to us as its sink

    def take_hydration(self, run: HydrationRun) -> None:
        """Have the backend prepared, as soon as `begin_hydration` was called."""
        self.hydration = run
        if self._is_started:
            run.start()

    def begin_hydration(self) -> None:
        """Begin to prepare the backend: the connection was started."""
        self._is_started = True
        if self.hydration is not None:
            self.hydration.start()

    def hydrate(self, message: Message) -> None:
        """Give the connection what prepares its backend."""
        self.was_hydrated = True
        self._hydrating += 1
        self.connection.send(message)

    def stop_hydration(self) -> None:
        """Prepare the backend no further, nor begin to."""
        self._is_started = False
        if self.hydration is not None:
            self.hydration.stop()
            self.hydration = None

    def pause_reading(self) -> None:
        """Have the connection read nothing for a while."""
        if self.hydration is not None:
            self.hydration.pause(paused=True)
        self.connection.pause()

    def resume_reading(self) -> None:
        """Have it read again."""
        if self.hydration is not None:
            self.hydration.pause(paused=False)
        self.connection.resume()

    @property
    def unsent(self) -> int:
        """Of the last messages given, those that no backend has seen; see NumberedConnection."""
        return getattr(self.connection, "unsent", 0)

    @property
    def delivered_is_answered(self) -> bool:
        """Whether what the connection delivers is answered; see BackendConnection."""
        return getattr(self.connection, "delivered_is_answered", False)

    @property
    def held_bytes(self) -> int:
        """Bytes that wait in the connection, as far as it tells; see HoldingConnection."""
        return getattr(self.connection, "held_bytes", 0)

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message of its has come in part, as far as it tells; see HoldingConnection."""
        return getattr(self.connection, "is_in_a_message", False)

    @property
    def lasting_bytes(self) -> int:
        """Bytes that the connection takes as long as it lasts, as far as it tells; see there."""
        return getattr(self.connection, "lasting_bytes", 0)

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
        if self._outbox is None:
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
        """See Sink."""
        if self._on_closed is not None:
            self._on_closed(close)


def _is_sink(sink: SessionSink) -> Sink:
    return sink  # checked by the type checker
