"""What a session needs of its client."""

from __future__ import annotations

from typing import Protocol

from ..api import Message
from .read_holds import Readable


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

    def send(self, message: Message, /) -> None:
        """Send one message."""
        ...

    def pong(self, payload: bytes, /) -> None:
        """Answer a ping that was passed on."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; any code is taken and made sendable."""
        ...
