"""What has become of one message."""

from __future__ import annotations

from dataclasses import dataclass

from wsgw_core.api import Close, Message

from .exchange import Response


@dataclass(slots=True)
class Verdict:
    """The application has answered a message, or will not.

    Attributes:
        reply: for the client.
        state: what the application wants to have kept; None: as it was.
        close: how the session ends, after the reply or the stream.
        stream: events follow until it ends.
        failure: the message is not delivered, and the connection ends so.
        was_sent: the application may have seen the message.
    """

    reply: Message | None = None
    state: str | None = None
    close: Close | None = None
    stream: Response | None = None
    failure: Close | None = None
    was_sent: bool = True
