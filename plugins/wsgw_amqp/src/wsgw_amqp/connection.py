"""Publishes one session's messages on the link that all sessions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsgw_core.api import (
    BackendContext,
    DialRequest,
    Message,
    ReplyBuffers,
    Sink,
    WindowedConnection,
)

from .envelope import Envelope
from .publisher import Publisher


class AmqpConnection(WindowedConnection):
    """Publishes the messages of one session.

    Args:
        request: the dial.
        sink: the session.
        context: the backend's.
        replies: the backend's.
        publisher: the link's.
        envelope: the session's.
        subprotocol: see BackendConnection.

    Attributes:
        last_number: of the last message that was published, here or by an earlier backend.
        on_start: called when the connection begins to serve the session; None: nothing.
        when_over: called when the connection has ended; None: nothing.
        is_over: whether it has ended.
    """

    def __init__(
        self,
        request: DialRequest,
        sink: Sink,
        context: BackendContext,
        replies: ReplyBuffers[Any],
        publisher: Publisher,
        envelope: Envelope,
        subprotocol: str | None,
    ) -> None:
        super().__init__(request.session_id, sink, context, replies)
        self.subprotocol = subprotocol
        self.last_number = self._seen_up_to = request.seen_up_to
        self.on_start: Callable[[], object] | None = None
        self.when_over: Callable[[], object] | None = None
        self.is_over = False
        self._publisher = publisher
        self._envelope = envelope
        self._hydrations = 0

    def start(self) -> None:
        """See BackendConnection."""
        if self.on_start is not None:
            on_start, self.on_start = self.on_start, None
            on_start()
        super().start()

    def write(self, number: int, message: Message) -> None:
        """See WindowedConnection."""
        publisher, name = self._publisher, str(number)
        if number > self.last_number:
            self.last_number = number
        elif number == 0:
            name = f"h{self._hydrations}"
            self._hydrations += 1
        replayed = 0 < number <= self._seen_up_to
        frames = self._envelope.pack(name, publisher.next_tag, message, number, replayed=replayed)
        publisher.publish(frames, self._envelope.keys[message.kind], self, number)

    def release(self) -> None:
        """See WindowedConnection."""
        self.is_over = True
        if self.when_over is not None:
            self.when_over()
