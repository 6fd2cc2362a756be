"""Sends a session's messages to its client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...api import CloseCause, Message, ReplyOutcome
from ..delivery.read_pauses import Readable, ReadPauses
from ..delivery.session_sink import SessionSink
from ..delivery.traffic_account import SentCounts, TrafficAccount
from .forwarded_pings import ForwardedPings


class ClientEnd(Readable, SentCounts, Protocol):
    """The client as a session uses it: a socket, or what tests put in its place."""

    @property
    def held_bytes(self) -> int:
        """Bytes that wait: for the client to read them, or for the rest of its message."""

    @property
    def lasting_bytes(self) -> int:
        """Bytes that it needs as long as it lasts, for compression for example."""

    @property
    def is_flushed(self) -> bool:
        """Whether the system has taken everything that was sent."""

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message of the client has arrived only in part."""

    def send(self, message: Message, /) -> None:
        """Sends one message."""

    def pong(self, payload: bytes, /) -> None:
        """Answers a ping of the client."""

    def close(self, code: int, reason: str = "") -> None:
        """Begins the closing handshake with any code; 1005 means without a code."""


@dataclass(frozen=True, slots=True)
class ClosingByGateway:
    """Why the gateway closes a client whose last messages still go on to the backend.

    Attributes:
        reason: of the client's close; the backend gets it too.
        cause: for the backend's plugin.
    """

    reason: str
    cause: CloseCause


class ClientSide:
    """Sends the backend's messages to the client, until the client is closed or has gone.

    Args:
        account: counts the messages that came through valves; the sink counts the others.

    Attributes:
        end: the client; None before it is answered and after it has gone.
        closing: set while the gateway closes the client, which may still send messages.
        backend_pauses: why the backend is not read.
    """

    __slots__ = ("_account", "_pings", "_sink", "backend_pauses", "closing", "end")

    def __init__(self, account: TrafficAccount) -> None:
        self._account = account
        self._sink: SessionSink | None = None
        self._pings: ForwardedPings | None = None
        self.backend_pauses = ReadPauses()
        self.closing: ClosingByGateway | None = None
        self.end: ClientEnd | None = None

    def receiver(
        self, valves: Callable[[Message], object] | None
    ) -> Callable[[Message], object] | None:
        """Returns the function for the backend's messages; None: the client gets no more.

        Args:
            valves: takes them first; None: there are no valves.
        """
        if self.end is None or self.closing is not None:
            return None
        return valves or self.end.send

    def outcome(self, message: Message, limit: int) -> ReplyOutcome:
        """Returns whether the client can be sent a message that its backend has not sent.

        Args:
            message: not sent yet.
            limit: maximum bytes of a message.
        """
        if message.size > limit:
            return ReplyOutcome.TOO_LARGE
        if self.end is None or self.closing is not None:
            return ReplyOutcome.UNKNOWN_SESSION
        return ReplyOutcome.SLOW_CLIENT if self.backend_pauses else ReplyOutcome.TAKEN

    def deliver(self, message: Message) -> None:
        """Sends a message that has passed the valves."""
        if self.end is not None and self.closing is None:
            self.end.send(message)
            size = message.size
            try:
                self._account.inward[size + 127 >> 7] += 1
            except IndexError:
                self._account.inward_large(size)

    def pinged(self, payload: bytes) -> None:
        """Has the backend answer a ping."""
        if self._pings is None:
            self._pings = ForwardedPings(self._pong)
        self._pings.received(payload, self._sink.connection if self._sink is not None else None)

    def close(self, code: int, reason: str) -> bool:
        """Closes the client; False: it has gone already, or is being closed."""
        if self.end is None or self.closing is not None:
            return False
        self.end.close(code, reason)
        return True

    def leave(self) -> None:
        """Notes that the client has gone."""
        self.end = self._pings = None

    # The backend's connection

    def attach(self, sink: SessionSink) -> None:
        """Uses a backend's connection, which is about to be started."""
        self._sink = sink
        self.backend_pauses.attach(sink)

    def begin(self) -> None:
        """Notes that the connection was started: now it can be paused and pinged."""
        self.backend_pauses.enforce()
        if self._pings is not None and self._sink is not None:
            self._pings.pass_on(self._sink.connection)

    def detach(self) -> None:
        """Uses the backend's connection no longer."""
        self._sink = None
        self.backend_pauses.attach(None)
        if self._pings is not None:
            self._pings.pass_on(None)

    def _pong(self, payload: bytes) -> None:
        if self.end is not None and self.closing is None:
            self.end.pong(payload)
