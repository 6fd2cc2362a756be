"""The events of a websocket connection."""

from __future__ import annotations

from typing import Protocol

from ..api import Close


class EndpointEvents(Protocol):
    """Receives the events of a connection, in the transport's callbacks."""

    def ended(self, close: Close, *, violation: bool) -> None:
        """The connection is over for its user. Once, as soon as it is known.

        That is when the peer's close frame is read, when the peer breaks the protocol, when the
        closing handshake takes too long, or when the transport is lost.

        Args:
            close: the peer's code and reason; 1006 for a lost connection; for a violation the code
                that the peer was sent.
            violation: the peer broke the protocol or a limit.
        """
        ...

    def disconnected(self) -> None:
        """The transport is gone. Once, after `ended`."""
        ...

    def writable(self, writable: bool, /) -> None:
        """Too much waits in the write buffer (False), or it has drained (True)."""
        ...

    def heard(self) -> None:
        """A frame came that is not a whole message."""
        ...

    def pong_received(self, payload: bytes, /) -> None:
        """A pong came."""
        ...

    def woken(self) -> None:
        """A message was sent with which `wake_at` was reached."""
        ...
