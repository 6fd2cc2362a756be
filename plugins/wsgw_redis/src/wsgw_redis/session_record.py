"""What is kept of a session from its first connection to its end."""

from __future__ import annotations

from .connection import RedisConnection
from .event_entry import EventEntries
from .line import Reply
from .publisher import Publisher
from .refusal import Refusal


class SessionRecord:
    """One session; it counts its connect events.

    Args:
        is_own_key: whether its client decides about the stream.

    Attributes:
        entries: make its commands.
        connection: that serves it now, or is ending.
    """

    __slots__ = ("_connects", "_is_asked", "_is_own_key", "connection", "entries")

    entries: EventEntries
    connection: RedisConnection | None

    def __init__(self, *, is_own_key: bool) -> None:
        self._connects = 0
        self._is_asked = False  # Redis may have the connect event of this number
        self._is_own_key = is_own_key

    def connect(self, publisher: Publisher) -> None:
        """Has a connect event stored, the same once more if the last may have been lost."""
        command = self.entries.connect(self._connects, replayed=self._is_asked)
        self._is_asked = True
        publisher.add(self, self._connects, command)

    def stored(self, number: int, _reply: Reply) -> None:
        """See Sender."""
        self._connects = number + 1
        self._is_asked = False

    def rejected(self, _number: int, refusal: Refusal) -> bool:
        """See Sender."""
        return self._is_own_key and refusal.is_of_one_key
