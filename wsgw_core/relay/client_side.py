"""What a session says to its client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..api import Message, ReplyOutcome
from .passed_pings import PassedPings
from .read_holds import ReadHolds

if TYPE_CHECKING:
    from .client_end import ClientEnd
    from .link import Link
    from .traffic_account import TrafficAccount


class ClientSide:
    """Sends the client what comes from its backend, until it is closed or has gone.

    Args:
        account: counts the messages that came through valves; the link counts the others.

    Attributes:
        end: as long as it can be sent to; None before the client is answered, too.
        dismissed: the reason for which the gateway closes it; None: it does not.
        backend_holds: why the backend is not read.
    """

    __slots__ = ("_account", "_link", "_pings", "backend_holds", "dismissed", "end")

    def __init__(self, account: TrafficAccount) -> None:
        self._account = account
        self._link: Link | None = None
        self._pings: PassedPings | None = None
        self.backend_holds = ReadHolds()
        self.dismissed: str | None = None
        self.end: ClientEnd | None = None

    def receiver(
        self, valves: Callable[[Message], object] | None
    ) -> Callable[[Message], object] | None:
        """Return what takes the backend's messages; None: the client hears nothing any more.

        Args:
            valves: what takes them first; None: there are no valves.
        """
        if self.end is None or self.dismissed is not None:
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
        if self.end is None or self.dismissed is not None:
            return ReplyOutcome.UNKNOWN_SESSION
        return ReplyOutcome.SLOW_CLIENT if self.backend_holds else ReplyOutcome.TAKEN

    def deliver(self, message: Message) -> None:
        """Send a message that came through the valves."""
        if self.end is not None and self.dismissed is None:
            self.end.send(message)
            size = message.size
            try:
                self._account.inward[size + 127 >> 7] += 1
            except IndexError:
                self._account.inward_large(size)

    def pinged(self, payload: bytes) -> None:
        """Have the backend answer a ping."""
        if self._pings is None:
            self._pings = PassedPings(self._pong)
        self._pings.received(payload, self._link.connection if self._link is not None else None)

    def close(self, code: int, reason: str) -> bool:
        """Close the client; False: it has gone, or is being closed."""
        if self.end is None or self.dismissed is not None:
            return False
        self.end.close(code, reason)
        return True

    def leave(self) -> None:
        """Note that the client has gone."""
        self.end = self._pings = None

    # The link to the backend

    def attach(self, link: Link) -> None:
        """Hear a backend: its connection is about to be started."""
        self._link = link
        self.backend_holds.attach(link)

    def begin(self) -> None:
        """Note that the connection was started: it reads, and is asked what the client asks."""
        self.backend_holds.enforce()
        if self._pings is not None and self._link is not None:
            self._pings.pass_on(self._link.connection)

    def detach(self) -> None:
        """Hear the backend no more."""
        self._link = None
        self.backend_holds.attach(None)
        if self._pings is not None:
            self._pings.pass_on(None)

    def _pong(self, payload: bytes) -> None:
        if self.end is not None and self.dismissed is None:
            self.end.pong(payload)
