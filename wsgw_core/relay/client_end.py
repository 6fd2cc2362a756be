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
