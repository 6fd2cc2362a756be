"""The commands by which one session's messages are published to a channel."""

from __future__ import annotations

from wsgw_core.api import Message

from .line import pack


class PublishedMessages:
    """Makes the PUBLISH commands of one session.

    Args:
        channel: its name.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel.encode()

    def message(self, _number: int, message: Message) -> bytes:
        """Returns the command for one message, which is published as it is."""
        return pack((b"PUBLISH", self._channel, message.data))
