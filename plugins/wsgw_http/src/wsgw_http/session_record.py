"""What this kind of backend keeps for a session while the session lives."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary, finalize

from wsgw_core.api import DialRequest


class SessionRecord:
    """One session, shared by all HTTP backends that have accepted it.

    Args:
        session_id: of the session.
        now: the time by the gateway's clock, in seconds.

    Attributes:
        session_id: see above.
        since: when the first backend saw the session.
        state: what the application wants kept; empty: nothing.
        introductions: how often a backend has accepted the session.
        unanswered: connect events since the last acceptance that an application may have received.
        messages: the greatest number of a delivered message.
        served_by: identifies the backend that served the session last, or else the first that
            accepted it. That backend sends the disconnect event.
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
        "unanswered",
    )

    def __init__(self, session_id: str, now: float) -> None:
        self.session_id = session_id
        self.since = now
        self.state = ""
        self.introductions = 0
        self.unanswered = 0
        self.messages = 0
        self.served_by: object = None
        self._connections = 0
        self._tell: Callable[[], object] | None = None

    @staticmethod
    def of(request: DialRequest, now: float) -> SessionRecord:
        """Returns the record of a session.

        It exists while a backend refers to it, and until the first search for a backend is over.
        Session ids are unguessable and unique, so one table serves the whole process.
        """
        record = _records.get(request.session_id)
        if record is None:
            record = _records[request.session_id] = SessionRecord(request.session_id, now)
            finalize(request, _let_go, record).atexit = False
        return record

    def accepted(self, request: DialRequest) -> None:
        """Notes that a backend has accepted the session."""
        self.introductions = max(self.introductions, int(request.reconnect)) + 1
        self.unanswered = 0

    def connection_begins(self) -> None:
        """Counts one more connection of the session."""
        self._connections += 1

    def connection_is_over(self) -> None:
        """Counts the end of a connection."""
        self._connections -= 1
        self._tell_at_the_end()

    def end(self, tell: Callable[[], object]) -> None:
        """Ends the session; calls `tell` when all its connections have ended."""
        self._tell = tell
        self._tell_at_the_end()

    def _tell_at_the_end(self) -> None:
        if self._tell is not None and self._connections == 0:
            tell, self._tell = self._tell, None
            tell()


def _let_go(_record: SessionRecord) -> None:
    pass  # until now the finalizer has kept the record


_records: WeakValueDictionary[str, SessionRecord] = WeakValueDictionary()
