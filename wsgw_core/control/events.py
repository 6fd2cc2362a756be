"""What happens to sessions and backends: never anything for each message."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that has happened.

    Attributes:
        level: of its line in the log.
    """

    level: ClassVar[int] = logging.INFO
    _text: ClassVar[str]

    @property
    def text(self) -> str:
        """What has happened, for the log."""
        return self._text.format(self)


@dataclass(frozen=True, slots=True)
class _OfSession(_Event):
    """Something that has happened to a session.

    Attributes:
        session: its id.
        route: the id of its route; empty where the gateway has none.
        backend: the id of the backend that is meant, as a rule the one that serves it.
    """

    session: str
    route: str
    backend: str | None

    @property
    def text(self) -> str:
        """What has happened, for the log."""
        return f"session {self.session}: {self._text.format(self)}"


@dataclass(frozen=True, slots=True)
class SessionOpened(_OfSession):
    """A client was answered."""

    client: str

    @property
    def text(self) -> str:
        """What has happened, for the log."""
        by = f" by route {self.route}" if self.route else ""
        opened = f"opened at backend {self.backend} for client {self.client}"
        return f"session {self.session}: {opened}{by}"


@dataclass(frozen=True, slots=True)
class ConnectionClosed(_OfSession):
    """A backend has ended a session's connection, or the connection was lost."""

    _text: ClassVar = "backend {0.backend} closed: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class SessionHeld(_OfSession):
    """A session has left this backend, or has lost it: its client is held until another serves."""

    level: ClassVar = logging.DEBUG
    _text: ClassVar = "held without backend {0.backend}"


@dataclass(frozen=True, slots=True)
class SessionMoved(_OfSession):
    """Another backend serves a session, and is sent that many messages again."""

    _text: ClassVar = "moved from {0.old} to {0.backend}, {0.replayed} messages replayed"
    old: str
    replayed: int


@dataclass(frozen=True, slots=True)
class SessionStayed(_OfSession):
    """A planned move was called off: no other backend takes the session."""

    _text: ClassVar = "stays at backend {0.backend}: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class NoBackendFound(_OfSession):
    """No backend was found in time for a session that has lost its own."""

    _text: ClassVar = "no backend: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class ProtocolBroken(_OfSession):
    """A client was closed for breaking the protocol or a limit."""

    _text: ClassVar = "client broke the protocol: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded(_OfSession):
    """A session has ended; so many messages of its client were not delivered."""

    _text: ClassVar = "ended: {0.reason}; {0.undelivered} undelivered"
    reason: str
    undelivered: int


@dataclass(frozen=True, slots=True)
class _OfBackend(_Event):
    """Something that has happened to a backend.

    Attributes:
        backend: its id.
    """

    backend: str

    @property
    def text(self) -> str:
        """What has happened, for the log."""
        return f"backend {self.backend}: {self._text.format(self)}"


@dataclass(frozen=True, slots=True)
class BackendTripped(_OfBackend):
    """It has failed again and again: sessions are kept away, but for trials."""

    level: ClassVar = logging.WARNING
    _text: ClassVar = "breaker tripped: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class BackendProved(_OfBackend):
    """One that had tripped serves a session."""

    _text: ClassVar = "breaker closed: it serves a session again"


@dataclass(frozen=True, slots=True)
class BackendDown(_OfBackend):
    """It is down by its own account, and has lost all of its sessions."""

    level: ClassVar = logging.WARNING
    _text: ClassVar = "is down: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class BackendUp(_OfBackend):
    """It is not down any more."""

    _text: ClassVar = "is up again"


@dataclass(frozen=True, slots=True)
class BackendUnhealthy(_OfBackend):
    """It does not pass its probes."""

    level: ClassVar = logging.WARNING
    _text: ClassVar = "unhealthy: {0.reason}"
    reason: str


@dataclass(frozen=True, slots=True)
class BackendHealthy(_OfBackend):
    """It passes its probes again."""

    _text: ClassVar = "healthy again"


@dataclass(frozen=True, slots=True)
class BackendDrained(_OfBackend):
    """The last session of a backend that is drained has left it."""

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
