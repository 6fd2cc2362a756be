"""Events of sessions and backends. No event stands for a single message."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class _Event:
    """An event.

    Attributes:
        level: of its line in the log.
    """

    level: ClassVar[int] = logging.INFO
    _subject: ClassVar[str]
    _text: ClassVar[str]

    @property
    def text(self) -> str:
        """The event in words, for the log."""
        return f"{self._subject}: {self._text}".format(self)


@dataclass(frozen=True, slots=True)
class _OfSession(_Event):
    """An event of a session.

    Attributes:
        session: its id.
        route: the id of its route; empty where the gateway has none.
        backend: the id of the backend that is meant, as a rule the one that serves it.
    """

    _subject: ClassVar = "session {0.session}"
    session: str
    route: str
    backend: str | None


@dataclass(frozen=True, slots=True)
class SessionOpened(_OfSession):
    """A session has begun: its client got its answer."""

    client: str

    @property
    def text(self) -> str:
        """The event in words, for the log."""
        by = f" by route {self.route}" if self.route else ""
        opened = f"opened at backend {self.backend} for client {self.client}"
        return f"session {self.session}: {opened}{by}"


@dataclass(frozen=True, slots=True)
class ConnectionClosed(_OfSession):
    """A backend has closed a session's connection, or the connection was lost."""

    _text: ClassVar = "backend {0.backend} closed: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class SessionHeld(_OfSession):
    """A session has left or lost this backend. wsgw holds its client until another one serves."""

    level: ClassVar = logging.DEBUG
    _text: ClassVar = "held without backend {0.backend}"


@dataclass(frozen=True, slots=True)
class SessionMoved(_OfSession):
    """Another backend serves a session. wsgw sends it so many messages again."""

    _text: ClassVar = "moved from {0.old} to {0.backend}, {0.replayed} messages replayed"
    old: str
    replayed: int


@dataclass(frozen=True, slots=True)
class SessionStayed(_OfSession):
    """A planned move has ended without effect: no other backend takes the session."""

    _text: ClassVar = "stays at backend {0.backend}: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class NoBackendFound(_OfSession):
    """wsgw has found no backend in time for a session that had lost its own."""

    _text: ClassVar = "no backend: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class ProtocolBroken(_OfSession):
    """wsgw has closed a client that broke the protocol or a limit."""

    _text: ClassVar = "client broke the protocol: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded(_OfSession):
    """A session has ended. So many messages of its client were not delivered."""

    _text: ClassVar = "ended: {0.reason}; {0.undelivered} undelivered"
    reason: str
    undelivered: int


@dataclass(frozen=True, slots=True)
class _OfBackend(_Event):
    """An event of a backend.

    Attributes:
        backend: its id.
    """

    _subject: ClassVar = "backend {0.backend}"
    backend: str


@dataclass(frozen=True, slots=True)
class BackendTripped(_OfBackend):
    """A backend has failed repeatedly. wsgw only tries now and then whether it serves again."""

    level: ClassVar = logging.WARNING
    _text: ClassVar = "breaker tripped: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class BackendProved(_OfBackend):
    """A backend that had tripped serves a session again."""

    _text: ClassVar = "breaker closed: it serves a session again"


@dataclass(frozen=True, slots=True)
class BackendDown(_OfBackend):
    """A backend reports that it is down. It has lost all its sessions."""

    level: ClassVar = logging.WARNING
    _text: ClassVar = "is down: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class BackendUp(_OfBackend):
    """A backend is no longer down."""

    _text: ClassVar = "is up again"


@dataclass(frozen=True, slots=True)
class BackendUnhealthy(_OfBackend):
    """A backend fails its health checks."""

    level: ClassVar = logging.WARNING
    _text: ClassVar = "unhealthy: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class BackendHealthy(_OfBackend):
    """A backend passes its health checks again."""

    _text: ClassVar = "healthy again"


@dataclass(frozen=True, slots=True)
class BackendDrained(_OfBackend):
    """The last session has left a backend that is draining."""

    _text: ClassVar = "drained"


SessionEvent: TypeAlias = (
    SessionOpened
    | ConnectionClosed
    | SessionHeld
    | SessionMoved
    | SessionStayed
    | NoBackendFound
    | ProtocolBroken
    | SessionEnded
)
BackendEvent: TypeAlias = (
    BackendTripped
    | BackendProved
    | BackendDown
    | BackendUp
    | BackendUnhealthy
    | BackendHealthy
    | BackendDrained
)
Event: TypeAlias = SessionEvent | BackendEvent
