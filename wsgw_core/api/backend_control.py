"""What a backend can say of itself as a whole, and to sessions that it does not serve."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from .message import Message


class ReplyOutcome(Enum):
    """What has become of a reply."""

    TAKEN = "taken"
    """The client's connection has it, or a valve."""
    HELD = "held"
    """It waits for a client that is slow; see ReplyBuffers, which tells later what became of it."""
    UNKNOWN_SESSION = "unknown session"
    """No session of this gateway has this id, or its client is gone."""
    SLOW_CLIENT = "slow client"
    """The client does not keep up, and there is no room for the reply."""
    TOO_LARGE = "too large"
    """The reply is longer than `limits.max_message_size`."""


class BackendControl(Protocol):
    """What the methods of BackendContext call. Provided by the core, and by the testing kit."""

    def down(self, reason: str) -> None:
        """See BackendContext."""
        ...

    def up(self) -> None:
        """See BackendContext."""
        ...

    def writable(self, writable: bool, /) -> None:
        """See BackendContext."""
        ...

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """See BackendContext."""
        ...
