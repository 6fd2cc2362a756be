"""One session's messages to Redis, and the replies to it."""

from __future__ import annotations

from typing import Any, Protocol

from wsgw_core.api import (
    BackendContext,
    Close,
    CloseCode,
    Message,
    NumberedConnection,
    ReplyBuffers,
    Sink,
    WindowedConnection,
)

from .line import Reply
from .link import Link
from .refusal import Refusal


class Commands(Protocol):
    """Makes a session's commands, packed as they are sent."""

    def message(self, number: int, message: Message, /) -> bytes:
        """Returns what gives Redis one message."""
        ...


class Owner(Protocol):
    """The backend, to whose sessions the connections belong."""

    @property
    def is_own_key(self) -> bool:
        """Whether a client decides about the key or channel that is written to."""
        ...

    def started(self, connection: RedisConnection, /) -> None:
        """Notes that a session takes replies."""
        ...

    def released(self, connection: RedisConnection, /) -> None:
        """Notes that a connection is over."""
        ...

    def may_reach_nobody(self) -> bool:
        """Counts a message without a subscriber; returns whether it is delivered all the same."""
        ...


class RedisConnection(WindowedConnection):
    """A message is delivered when Redis has answered its command.

    Args:
        session_id, sink, context, replies: see WindowedConnection.
        owner: the backend.
        link: what commands are written to.
        commands: makes them.

    Attributes:
        link: see above.
    """

    def __init__(
        self,
        session_id: str,
        sink: Sink,
        context: BackendContext,
        replies: ReplyBuffers[Any],
        owner: Owner,
        link: Link,
        commands: Commands,
    ) -> None:
        super().__init__(session_id, sink, context, replies)
        self.link = link
        self._owner = owner
        self._publisher = link.publisher
        self._commands = commands

    def start(self) -> None:
        """See BackendConnection; the connect event comes before all messages."""
        self._owner.started(self)
        super().start()

    def write(self, number: int, message: Message) -> None:
        """See WindowedConnection."""
        self._publisher.add(self, number, self._commands.message(number, message))

    def release(self) -> None:
        """See WindowedConnection."""
        self._owner.released(self)

    # What the publisher calls

    def stored(self, number: int, reply: Reply) -> None:
        """See Sender; PUBLISH is answered with the number of subscribers."""
        if reply != 0 or self._owner.may_reach_nobody():
            self.acknowledged(number)
        else:
            reason = "nobody is subscribed to its channel"
            self.refused(number, Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True))

    def rejected(self, number: int, refusal: Refusal) -> bool:
        """See Sender: a key that the client has chosen is no reason to end other sessions."""
        if not (self._owner.is_own_key and refusal.is_of_one_key):
            return False
        reason = f"its messages cannot be stored: {refusal.word}"
        self.refused(number, Close(CloseCode.INTERNAL_ERROR, reason))
        return True


def _is_backend_connection(connection: RedisConnection) -> NumberedConnection:
    return connection  # checked by the type checker
