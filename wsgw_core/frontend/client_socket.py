"""A client's websocket after its handshake."""

from __future__ import annotations

from collections.abc import Callable

from ..api import Clock, Close, CloseCause, Limits, ReadBatch
from ..relay.session.session import Session
from ..websocket import Backlog, Endpoint
from .admission import Ticket


class ClientSocket:
    """Connects a session to its client's endpoint, and handles the endpoint's events.

    Args:
        session: the session that receives the client's messages.
        on_gone: called once, when the transport is gone.
        ticket: the client's ticket; given back when the transport is gone.
        limits, clock, read_batch: see Endpoint.
        end_to_end: whether the session passes pings on to the backend.

    Attributes:
        endpoint: the connection.
        blocked_since: since when the write buffer is full because the client is slow; None: it is
            not.
        pongs, ponged_at: how many pongs the client has sent, and when the last one came.
    """

    __slots__ = (
        "_clock",
        "_end_to_end",
        "_end_waits",
        "_on_gone",
        "_others",
        "_session",
        "_ticket",
        "blocked_since",
        "endpoint",
        "ponged_at",
        "pongs",
    )

    def __init__(
        self,
        session: Session,
        on_gone: Callable[[ClientSocket], None],
        ticket: Ticket,
        limits: Limits,
        clock: Clock,
        read_batch: ReadBatch,
        *,
        end_to_end: bool,
    ) -> None:
        self._session = session
        self._on_gone = on_gone
        self._ticket = ticket
        self._clock = clock
        self._end_waits = False  # its session has not learned of the end yet
        self._end_to_end = end_to_end
        self._others = 0  # frames that are neither a whole message nor a pong
        self.blocked_since: float | None = None
        self.pongs = 0
        self.ponged_at: float | None = None
        self.endpoint = Endpoint(self, limits, clock, read_batch)

    def begin(self, first_bytes: bytes) -> None:
        """Starts the session, then reads, beginning with the bytes behind the handshake."""
        self._session.start(self.endpoint)
        self.endpoint.deliver = self._session.client_message
        if self._end_to_end:
            self.endpoint.on_ping = self._session.client_pinged
        self.endpoint.begin(first_bytes)

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """Begins the closing handshake; later messages of the client still go to its backend."""
        self._session.close_client(code, reason, cause)

    def abort(self) -> None:
        """Drops the connection."""
        self.endpoint.abort()

    # For ClientTimeouts and ClientKeepalive

    @property
    def activity(self) -> int:
        """A number that changes with each frame received, except for pongs.

        It does not count a message that a valve discards; `silent_for` knows of that.
        """
        return self._session.messages_received + self._others

    @property
    def is_open(self) -> bool:
        """Whether the session still sends to its client, because neither side has closed."""
        return self._session.client is not None

    @property
    def is_paused(self) -> bool:
        """Whether reading the client is paused."""
        return self._session.client_is_paused

    @property
    def is_in_a_frame(self) -> bool:
        """See Endpoint."""
        return self.endpoint.is_in_a_frame

    def silent_for(self, seconds: float) -> bool:
        """Returns whether no byte has come for so many seconds, as far as the system knows."""
        silence = self.endpoint.silence()
        return silence is None or silence >= seconds

    def taken(self) -> int:
        """See Endpoint."""
        return self.endpoint.taken()

    def ping(self) -> Backlog:
        """Sends a ping; returns a Backlog, which finds out whether the client reads it."""
        self.endpoint.ping(b"")
        return self.endpoint.backlog()

    # Called by the endpoint; see EndpointEvents

    def ended(self, close: Close, *, violation: bool) -> None:
        """Reports to the session that the client is gone; a little later if many clients go."""
        self._end_waits = not self._session.client_ends.call(self._report_end, close, violation)

    def disconnected(self) -> None:
        """Gives the ticket back and calls `on_gone`, but not before the session learns it."""
        if self._end_waits:
            self._session.client_ends.call(self._release)
        else:
            self._release()

    def writable(self, writable: bool, /) -> None:
        """Reports to the session whether the client keeps up."""
        self.blocked_since = None if writable else self._clock.time()
        self._session.client_writable(writable)

    def heard(self) -> None:
        """Counts a frame that is not a whole message."""
        self._others += 1

    def pong_received(self, _payload: bytes, /) -> None:
        """Counts a pong; `heard` was called for it, too."""
        self._others -= 1
        self.pongs += 1
        self.ponged_at = self._clock.time()

    def woken(self) -> None:
        """Does nothing; not used here."""

    # Steps

    def _report_end(self, close: Close, violation: bool) -> None:
        self._end_waits = False
        self._session.client_closed(close, violation=violation)

    def _release(self) -> None:
        self._ticket.give_back()
        self._on_gone(self)
