"""A session as plugins see it, for tests that need no gateway."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from wsgw_core.api import Close, Headers, Message, Session

__all__ = ["FakeSession"]


@dataclass
class FakeSession:
    """Records what it is asked to do; what it tells can be set.

    Attributes:
        sent_to_client, sent_to_backend: injected messages, in order.
        answers: the handles of the messages that were reported as answered.
        closes: how it was asked to close, each time.
        failovers: how often it was asked to move.
    """

    id: str = "session-1"
    path: str = "/"
    headers: Headers = ()
    peer: str = "192.0.2.1:5555"
    route: str = ""
    subprotocol: str | None = None
    backend_id: str | None = "backend-1"
    messages_received: int = 0
    messages_sent: int = 0
    reconnects: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    sent_to_client: list[Message] = field(default_factory=list)
    sent_to_backend: list[Message] = field(default_factory=list)
    answers: list[Hashable] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    failovers: int = 0

    def send_to_client(self, message: Message) -> None:
        """Records a message."""
        self.sent_to_client.append(message)

    def send_to_backend(self, message: Message) -> None:
        """Records a message."""
        self.sent_to_backend.append(message)

    def answered(self, handle: Hashable) -> None:
        """Records the handle."""
        self.answers.append(handle)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Records the close."""
        self.closes.append(Close(code, reason))

    def fail_over(self) -> None:
        """Counts it."""
        self.failovers += 1


def _is_session(session: FakeSession) -> Session:
    return session  # checked by the type checker
