"""One session's messages to Redis, and the replies to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsgw_core.api import (
    Close,
    CloseCode,
    Message,
    Sink,
    WindowedConnection,
)

from .event_entry import EventEntries
from .line import Reply
from .link import Link
from .refusal import Refusal

if TYPE_CHECKING:
    from .backend import RedisBackend


class Commands(Protocol):
    """Makes a session's commands in the format of the protocol."""

    def message(self, number: int, message: Message, /) -> bytes:
        """Returns the command for one message."""


class RedisConnection(WindowedConnection):
    """Sends the messages of one session; Redis's answer to a command acknowledges its message.

    Args:
        backend: the backend.
        session_id, sink: see WindowedConnection.
        link: the connections to Redis.
        commands: makes the commands.
        events: makes the commands of the session's events; None: it has none.

    Attributes:
        link, events: see above.
    """

    def __init__(
        self,
        backend: RedisBackend,
        session_id: str,
        sink: Sink,
        link: Link,
        commands: Commands,
        events: EventEntries | None,
    ) -> None:
        super().__init__(session_id, sink, backend.context, backend.replies)
        self.link = link
        self.events = events
        self._backend = backend
        self._publisher = link.publisher
        self._commands = commands

    def start(self) -> None:
        """See BackendConnection. The connect event goes before all messages."""
        self._backend.started(self)
        super().start()

    def write(self, number: int, message: Message) -> None:
        """See WindowedConnection."""
        self._publisher.add(self, number, self._commands.message(number, message))

    def release(self) -> None:
        """See WindowedConnection."""
        self._backend.released(self)

    # Called by the publisher

    def stored(self, number: int, reply: Reply) -> None:
        """See Sender; the reply to PUBLISH is the number of subscribers."""
        if reply != 0 or self._backend.accept_without_subscriber():
            self.acknowledged(number)
        else:
            reason = "no subscriber on its channel"
            self.refused(number, Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True))

    def rejected(self, number: int, refusal: Refusal) -> bool:
        """See Sender: an error of the client's own key ends no other session."""
        if not (self._backend.is_own_key and refusal.is_of_one_key):
            return False
        reason = f"Redis does not store its messages: {refusal.word}"
        self.refused(number, Close(CloseCode.INTERNAL_ERROR, reason))
        return True
