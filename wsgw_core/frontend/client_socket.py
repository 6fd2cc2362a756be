"""A client's websocket, after its handshake."""

from __future__ import annotations

from collections.abc import Callable

from ..api import Clock, Close, CloseCause, Limits, ReadBatch
from ..relay.session.session import Session
from ..websocket import Backlog, Endpoint
from .admission import Ticket


class ClientSocket:
    """Connects a session to its client: the endpoint relays, this tells what becomes of it.

    Args:
        session: what the client's messages are for.
        on_gone: called once, when the transport is gone.
        ticket: given back then.
        limits, clock, read_batch: see Endpoint.
        end_to_end: whether pings are passed on to the backend.

    Attributes:
        endpoint: the connection.
        blocked_since: when too much waited for the client to read it, if it still does.
        pongs, ponged_at: how often the client has sent a pong, and when last.
    """

    __slots__ = (
        "_clock",
        "_end_to_end",
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
        end_to_end: bool = False,
    ) -> None:
        self._session = session
        self._on_gone = on_gone
        self._ticket = ticket
        self._clock = clock
        self._end_to_end = end_to_end
        self._others = 0  # frames that are neither a whole message nor a pong
        self.blocked_since: float | None = None
        self.pongs = 0
        self.ponged_at: float | None = None
        self.endpoint = Endpoint(self, limits, clock, read_batch)

    def begin(self, first_bytes: bytes) -> None:
        """Starts the session, then reads, beginning with bytes that came behind the handshake."""
        self._session.start(self.endpoint)
        self.endpoint.deliver = self._session.client_message
        if self._end_to_end:
            self.endpoint.on_ping = self._session.client_pinged
        self.endpoint.begin(first_bytes)

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """Begins the closing handshake; what the client still says goes on to its backend."""
        self._session.close_client(code, reason, cause)

    def abort(self) -> None:
        """Drops the connection."""
        self.endpoint.abort()

    # What the timeouts looks at

    @property
    def activity(self) -> int:
        """A number that changes with whatever frame is received, pongs excepted.

        But for a message that a valve has discarded: `silent_for` knows of it.
        """
        return self._session.messages_received + self._others

    @property
    def is_open(self) -> bool:
        """Whether the session still sends to its client: neither side has closed."""
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
        """See Endpoint."""
        silence = self.endpoint.silence()
        return silence is None or silence >= seconds

    def taken(self) -> int:
        """See Endpoint."""
        return self.endpoint.taken()

    def ping(self) -> Backlog:
        """Asks for a sign of life; returns what tells whether it gets through."""
        self.endpoint.ping(b"")
        return self.endpoint.backlog()

    # What the endpoint calls

    def ended(self, close: Close, *, violation: bool) -> None:
        """Tells the session that the client has gone."""
        self._session.client_closed(close, violation=violation)

    def disconnected(self) -> None:
        """Lets go."""
        self._ticket.give_back()
        self._on_gone(self)

    def writable(self, writable: bool, /) -> None:
        """Tells the session whether the client keeps up."""
        self.blocked_since = None if writable else self._clock.time()
        self._session.client_writable(writable)

    def heard(self) -> None:
        """Counts a frame that is not a whole message."""
        self._others += 1

    def pong_received(self, _payload: bytes, /) -> None:
        """Notes a sign of life; `heard` was called for it too."""
        self._others -= 1
        self.pongs += 1
        self.ponged_at = self._clock.time()

    def woken(self) -> None:
        """See EndpointEvents; of no use here."""
