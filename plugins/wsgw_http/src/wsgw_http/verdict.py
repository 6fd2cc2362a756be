"""The outcome of one message."""

from __future__ import annotations

from dataclasses import dataclass

from wsgw_core.api import Close, Message

from .exchange import Response


@dataclass(slots=True)
class Verdict:
    """The outcome of one message.

    Attributes:
        reply: for the client.
        state: what the application wants kept; None: no change.
        close: how the session ends, after the reply or the stream; None: it goes on.
        stream: an event stream that continues after the message.
        failure: the message is not delivered, and the connection ends with this close.
        was_sent: the application may have received the message.
    """

    reply: Message | None = None
    state: str | None = None
    close: Close | None = None
    stream: Response | None = None
    failure: Close | None = None
    was_sent: bool = True
