"""A session as plugins see it, for tests that need no gateway."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from wsgw_core.api import Close, Headers, Message, Session

__all__ = ["FakeSession"]


@dataclass
class FakeSession:
    """Records the calls of a plugin; a test sets the attributes that the plugin reads.

    Attributes:
        sent_to_client, sent_to_backend: the injected messages, in order.
        answers: the handles of the messages that were reported as answered.
        closes: the code and reason of each call of `close`.
        failovers: the number of calls of `fail_over`.
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
        """Counts the call."""
        self.failovers += 1


def _is_session(session: FakeSession) -> Session:
    return session  # for the type checker
