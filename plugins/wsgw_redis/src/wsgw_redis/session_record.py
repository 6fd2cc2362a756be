"""What a backend keeps for a session from its first connection to its end."""

from __future__ import annotations

from .connection import RedisConnection
from .event_entry import EventEntries
from .line import Reply
from .publisher import Publisher
from .refusal import Refusal


class SessionRecord:
    """One session, with the number of its connect events.

    Args:
        is_own_key: whether the client determines the stream.

    Attributes:
        entries: makes the session's commands.
        connection: the one that serves the session or is ending; None: there is none.
    """

    __slots__ = ("_connects", "_is_asked", "_is_own_key", "connection", "entries")

    entries: EventEntries
    connection: RedisConnection | None

    def __init__(self, *, is_own_key: bool) -> None:
        self._connects = 0
        self._is_asked = False  # Redis may already have this connect event
        self._is_own_key = is_own_key

    def connect(self, publisher: Publisher) -> None:
        """Adds a connect event; the same again if Redis may have lost the last one."""
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
