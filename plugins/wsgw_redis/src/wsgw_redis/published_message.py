"""The commands that publish one session's messages to a channel."""

from __future__ import annotations

from wsgw_core.api import Message

from .line import pack


class PublishedMessages:
    """Makes the PUBLISH commands of one session.

    Args:
        channel: the channel's name.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel.encode()

    def message(self, _number: int, message: Message) -> bytes:
        """Returns the command that publishes the data of one message."""
        return pack((b"PUBLISH", self._channel, message.data))
