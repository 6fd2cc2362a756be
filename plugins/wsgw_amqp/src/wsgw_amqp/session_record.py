"""What is kept for a session from its first connection to its end."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakValueDictionary

from .connection import AmqpConnection
from .envelope import Envelope
from .handshake import SessionHandshake


class SessionRecord:
    """One session, shared by all backends that publish its events to the same exchange.

    So each connect event has its own id, and there is one disconnect event, even if a reload has
    replaced the backend and the session has moved to the new one.

    Args:
        since: when the first backend saw the session, in seconds of the gateway's clock.
        dials: number of the next connect event.

    Attributes:
        since, dials: see above.
        served_by: identifies the backend that served the session last, or else the first that
            accepted it. That backend publishes the disconnect event.
        handshake, envelope, connection: of the connection with which it did so.
    """

    __slots__ = (
        "__weakref__",
        "connection",
        "dials",
        "envelope",
        "handshake",
        "served_by",
        "since",
    )

    handshake: SessionHandshake
    envelope: Envelope
    connection: AmqpConnection

    def __init__(self, since: float, dials: int) -> None:
        self.since = since
        self.dials = dials
        self.served_by: object = None

    @staticmethod
    def of(session_id: str, exchange: Hashable, since: float, dials: int) -> SessionRecord:
        """Returns the record of a session; it exists while a backend refers to it.

        Session ids are unguessable and unique, so one table serves the whole process.

        Args:
            session_id: the session's.
            exchange: identifies the exchange, with its broker.
            since: of a new record.
            dials: of a new record.
        """
        return _records.setdefault((session_id, exchange), SessionRecord(since, dials))

    def begin(
        self,
        backend: object,
        handshake: SessionHandshake,
        envelope: Envelope,
        connection: AmqpConnection,
    ) -> None:
        """Notes which backend serves the session from now on, and its connection."""
        self.served_by = backend
        self.handshake, self.envelope, self.connection = handshake, envelope, connection


_records: WeakValueDictionary[tuple[str, Hashable], SessionRecord] = WeakValueDictionary()
