"""The core's side of a BackendContext, recorded."""

from __future__ import annotations

from wsgw_core.api import Message, ReplyOutcome


class FakeControl:
    """Records what a backend says of itself as a whole, and the replies that it delivers.

    Attributes:
        losses: the reason of each `down`, in order.
        is_down, is_writable: what was said last.
        replies: the session's id and the message of each `deliver`, in order.
        outcome: what `deliver` answers.
    """

    def __init__(self) -> None:
        self.losses: list[str] = []
        self.is_down = False
        self.is_writable = True
        self.replies: list[tuple[str, Message]] = []
        self.outcome = ReplyOutcome.TAKEN

    def down(self, reason: str) -> None:
        """See BackendContext."""
        self.losses.append(reason)
        self.is_down = True
        self.is_writable = True

    def up(self) -> None:
        """See BackendContext."""
        self.is_down = False

    def writable(self, writable: bool, /) -> None:
        """See BackendContext."""
        self.is_writable = writable

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """See BackendContext."""
        self.replies.append((session_id, message))
        return self.outcome
