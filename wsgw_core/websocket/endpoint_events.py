"""The events of a websocket connection."""

from __future__ import annotations

from typing import Protocol

from ..api import Close


class EndpointEvents(Protocol):
    """Handles the events of a connection; called in the transport's callbacks."""

    def ended(self, close: Close, *, violation: bool) -> None:
        """Handles the end of the connection; called once, as early as possible.

        The connection ends when the peer's close frame is read, when the peer breaks the protocol,
        when the closing handshake takes too long, or when the transport is lost.

        Args:
            close: the peer's code and reason; 1006 for a lost connection; for a violation the code
                that the peer got.
            violation: whether the peer broke the protocol or a limit.
        """

    def disconnected(self) -> None:
        """Handles the loss of the transport; called once, after `ended`."""

    def writable(self, writable: bool, /) -> None:
        """Handles a write buffer that is too full (False) or has room again (True)."""

    def heard(self) -> None:
        """Handles a frame that is not a whole message."""

    def pong_received(self, payload: bytes, /) -> None:
        """Handles a pong; `heard` is called for it, too."""

    def woken(self) -> None:
        """Handles the sending of the message with which `sent_weight` reaches `wake_at`."""
