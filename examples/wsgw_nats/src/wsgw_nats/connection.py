"""Publishes one session's messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsgw_core.api import (
    BINARY,
    BackendConnection,
    BackendContext,
    Close,
    CloseCode,
    Message,
    ReplyBuffers,
    Sink,
    WindowedConnection,
)

from .acknowledgement import Rejection
from .envelope import message_headers
from .nats_link import NatsLink


@dataclass(frozen=True, slots=True)
class Channel:
    """The subjects of a session, and the link that publishes.

    Attributes:
        link: publishes the messages.
        subject: of the messages.
        reply_to: subject of the replies.
        on_rejected: called when JetStream refuses the messages of all sessions; None: never.
    """

    link: NatsLink
    subject: str
    reply_to: str
    on_rejected: Callable[[Rejection], object] | None


class NatsConnection(WindowedConnection):
    """Publishes the messages of one session; JetStream acknowledges each.

    Args:
        session_id: of the request.
        sink: the session.
        context: the backend's.
        replies: the backend's.
        window: maximum unacknowledged messages.
        channel: the session's.

    Attributes:
        on_start: called when the connection begins to serve the session.
        on_release: called after the last message, when the connection has ended.
    """

    def __init__(
        self,
        session_id: str,
        sink: Sink,
        context: BackendContext,
        replies: ReplyBuffers[None],
        *,
        window: int,
        channel: Channel,
    ) -> None:
        super().__init__(session_id, sink, context, replies, window=window)
        self._channel = channel
        self.on_start: Callable[[], object] | None = None
        self.on_release: Callable[[], object] | None = None

    def start(self) -> None:
        """See BackendConnection."""
        if self.on_start is not None:
            self.on_start()
        super().start()

    def write(self, number: int, message: Message) -> None:
        """See WindowedConnection."""
        channel = self._channel
        if message.size > channel.link.largest:  # the server would close the shared connection
            reason = f"a message is longer than the {channel.link.largest} bytes that NATS takes"
            self.refused(number, Close(CloseCode.TOO_BIG, reason))
            return
        type_ = "binary" if message.kind is BINARY else "text"
        headers = message_headers(self.session_id, number, type_, channel.reply_to)
        channel.link.publish(self, number, channel.subject, message.data, headers)

    def rejected(self, number: int, rejection: Rejection) -> None:
        """See Publisher."""
        if rejection.is_of_message:
            self.refused(number, Close(CloseCode.TOO_BIG, rejection.reason))
        elif self._channel.on_rejected is not None:
            self._channel.on_rejected(rejection)
        else:
            self.refused(number, Close(CloseCode.TRY_AGAIN_LATER, rejection.reason, abnormal=True))

    def release(self) -> None:
        """See WindowedConnection."""
        if self.on_release is not None:
            self.on_release()


def _is_backend_connection(connection: NatsConnection) -> BackendConnection:
    return connection  # checked by the type checker
