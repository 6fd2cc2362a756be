"""What is kept for a session from its first connection to its end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from .event_entry import EventEntries
from .line import Reply
from .publisher import Publisher
from .refusal import Refusal

if TYPE_CHECKING:
    from .backend import RedisBackend
    from .connection import RedisConnection


class SessionRecord:
    """One session, shared by all backends that write its events to the same stream.

    So each connect event has its own id, and there is one disconnect event, even if a reload has
    replaced the backend and the session has moved to the new one.

    Attributes:
        served_by: the backend that served the session last, which adds the disconnect event.
        entries: makes the session's commands.
        connection: the one that serves the session or is ending; None: there is none.
    """

    __slots__ = (
        "__weakref__",
        "_connects",
        "_is_asked",
        "_is_own_key",
        "connection",
        "entries",
        "served_by",
    )

    served_by: RedisBackend
    entries: EventEntries
    connection: RedisConnection | None

    def __init__(self) -> None:
        self._connects = 0
        self._is_asked = False  # Redis may already have this connect event
        self._is_own_key = False

    @staticmethod
    def of(session_id: str, stream: Hashable) -> SessionRecord:
        """Returns the record of a session; it exists while a backend refers to it.

        Session ids are unguessable and unique, so one table serves the whole process.

        Args:
            session_id: the session's.
            stream: identifies the stream, with its server.
        """
        return _records.setdefault((session_id, stream), SessionRecord())

    def begin(
        self, backend: RedisBackend, connection: RedisConnection, entries: EventEntries
    ) -> None:
        """Notes which backend serves the session from now on, and its connection."""
        self.served_by, self.connection, self.entries = backend, connection, entries
        self._is_own_key = backend.is_own_key

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


_records: WeakValueDictionary[tuple[str, Hashable], SessionRecord] = WeakValueDictionary()
