"""What is kept for a session as long as it lives, whichever backend of this kind serves it."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary


class SessionRecord:
    """One session, shared by all backends that have accepted it.

    Args:
        session_id: of the session.
        now: time by the gateway's clock.

    Attributes:
        session_id: see above.
        since: when it was first seen.
        state: what the application has had kept for it; empty: nothing.
        introductions: how often a backend has accepted it.
        messages: the greatest number of a message that was delivered.
        served_by: what stands for the backend that did so last, or has accepted it if none did;
            that one tells its application of the end.
    """

    __slots__ = (
        "__weakref__",
        "_connections",
        "_tell",
        "introductions",
        "messages",
        "served_by",
        "session_id",
        "since",
        "state",
    )

    def __init__(self, session_id: str, now: float) -> None:
        self.session_id = session_id
        self.since = now
        self.state = ""
        self.introductions = 0
        self.messages = 0
        self.served_by: object = None
        self._connections = 0
        self._tell: Callable[[], object] | None = None

    @staticmethod
    def of(session_id: str, now: float) -> SessionRecord:
        """Return the record of a session, which lives as long as a backend holds on to it.

        Ids are unguessable and never used again, so that one table does for the whole process.
        """
        record = _records.get(session_id)
        if record is None:
            record = _records[session_id] = SessionRecord(session_id, now)
        return record

    def connection_begins(self) -> None:
        """Note one more connection of the session."""
        self._connections += 1

    def connection_is_over(self) -> None:
        """Note the end of a connection: nothing is delivered on it any more."""
        self._connections -= 1
        self._tell_at_the_end()

    def end(self, tell: Callable[[], object]) -> None:
        """Note that the session is over; `tell` is called when its connections are too."""
        self._tell = tell
        self._tell_at_the_end()

    def _tell_at_the_end(self) -> None:
        if self._tell is not None and self._connections == 0:
            tell, self._tell = self._tell, None
            tell()


_records: WeakValueDictionary[str, SessionRecord] = WeakValueDictionary()
