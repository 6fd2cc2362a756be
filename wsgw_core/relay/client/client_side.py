"""What a session says to its client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...api import Message, ReplyOutcome
from ..delivery.read_pauses import Readable, ReadPauses
from .forwarded_pings import ForwardedPings

if TYPE_CHECKING:
    from ..delivery.session_sink import SessionSink
    from ..delivery.traffic_account import TrafficAccount


class ClientEnd(Readable, Protocol):
    """The client's side as a session sees it: a socket, or something in its place."""

    @property
    def sent_messages(self) -> int:
        """Messages sent so far."""
        ...

    @property
    def sent_bytes(self) -> int:
        """Bytes of these messages."""
        ...

    @property
    def held_bytes(self) -> int:
        """Bytes that wait, to be read by the client or for the rest of its message."""
        ...

    @property
    def lasting_bytes(self) -> int:
        """Bytes that it takes as long as it lasts, beside objects."""
        ...

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits to be read by the client."""
        ...

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message of the client's has come in part."""
        ...

    def send(self, message: Message, /) -> None:
        """Send one message."""
        ...

    def pong(self, payload: bytes, /) -> None:
        """Answer a ping that was passed on."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; any code is taken; 1005: without a code."""
        ...


class ClientSide:
    """Sends the client what comes from its backend, until it is closed or has gone.

    Args:
        account: counts the messages that came through valves; the sink counts the others.

    Attributes:
        end: as long as it can be sent to; None before the client is answered, too.
        closing_reason: the reason for which the gateway closes it; None: it does not.
        backend_pauses: why the backend is not read.
    """

    __slots__ = ("_account", "_pings", "_sink", "backend_pauses", "closing_reason", "end")

    def __init__(self, account: TrafficAccount) -> None:
        self._account = account
        self._sink: SessionSink | None = None
        self._pings: ForwardedPings | None = None
        self.backend_pauses = ReadPauses()
        self.closing_reason: str | None = None
        self.end: ClientEnd | None = None

    def receiver(
        self, valves: Callable[[Message], object] | None
    ) -> Callable[[Message], object] | None:
        """Return what takes the backend's messages; None: the client hears nothing any more.

        Args:
            valves: what takes them first; None: there are no valves.
        """
        if self.end is None or self.closing_reason is not None:
            return None
        return valves or self.end.send

    def outcome(self, message: Message, limit: int) -> ReplyOutcome:
        """Return what becomes of a message that does not come from the session's backend.

        Args:
            message: not sent yet.
            limit: bytes that a message may have.
        """
        if message.size > limit:
            return ReplyOutcome.TOO_LARGE
        if self.end is None or self.closing_reason is not None:
            return ReplyOutcome.UNKNOWN_SESSION
        return ReplyOutcome.SLOW_CLIENT if self.backend_pauses else ReplyOutcome.TAKEN

    def deliver(self, message: Message) -> None:
        """Send a message that came through the valves."""
        if self.end is not None and self.closing_reason is None:
            self.end.send(message)
            size = message.size
            try:
                self._account.inward[size + 127 >> 7] += 1
            except IndexError:
                self._account.inward_large(size)

    def pinged(self, payload: bytes) -> None:
        """Have the backend answer a ping."""
        if self._pings is None:
            self._pings = ForwardedPings(self._pong)
        self._pings.received(payload, self._sink.connection if self._sink is not None else None)

    def close(self, code: int, reason: str) -> bool:
        """Close the client; False: it has gone, or is being closed."""
        if self.end is None or self.closing_reason is not None:
            return False
        self.end.close(code, reason)
        return True

    def leave(self) -> None:
        """Note that the client has gone."""
        self.end = self._pings = None

    # The backend's connection

    def attach(self, sink: SessionSink) -> None:
        """Hear a backend: its connection is about to be started."""
        self._sink = sink
        self.backend_pauses.attach(sink)

    def begin(self) -> None:
        """Note that the connection was started: it reads, and is asked what the client asks."""
        self.backend_pauses.enforce()
        if self._pings is not None and self._sink is not None:
            self._pings.pass_on(self._sink.connection)

    def detach(self) -> None:
        """Hear the backend no more."""
        self._sink = None
        self.backend_pauses.attach(None)
        if self._pings is not None:
            self._pings.pass_on(None)

    def _pong(self, payload: bytes) -> None:
        if self.end is not None and self.closing_reason is None:
            self.end.pong(payload)
