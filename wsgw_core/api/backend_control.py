"""What a backend reports about all its sessions, and replies to sessions it no longer serves."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from .message import Message


class ReplyOutcome(Enum):
    """What happened to a reply."""

    TAKEN = "taken"
    """The client's connection or a valve has it."""
    HELD = "held"
    """It waits for a slow client; ReplyBuffers reports its outcome later."""
    UNKNOWN_SESSION = "unknown session"
    """No session of this gateway has this id, or its client is gone."""
    SLOW_CLIENT = "slow client"
    """The client does not keep up, and there is no room for the reply."""
    TOO_LARGE = "too large"
    """The reply is longer than `limits.max_message_size`."""


class BackendControl(Protocol):
    """What the methods of BackendContext call; the core and the testing kit provide it."""

    def down(self, reason: str) -> None:
        """See BackendContext."""

    def up(self) -> None:
        """See BackendContext."""

    def writable(self, writable: bool, /) -> None:
        """See BackendContext."""

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """See BackendContext."""
