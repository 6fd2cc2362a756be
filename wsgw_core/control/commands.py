"""The commands of a gateway; see Control.do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True)
class AddBackend:
    """Adds a backend, or all backends of a DNS name.

    Attributes:
        entry: an entry as in `upstream.backends` of the configuration.
        group: the id of the route that gets the backend; empty: `upstream.backends`.
        may_name_files: whether the entry may name files, which wsgw then reads.
    """

    entry: Any
    group: str = ""
    may_name_files: bool = False


@dataclass(frozen=True, slots=True)
class DisableBackend:
    """Gives a backend no new sessions; its sessions stay."""

    id: str


@dataclass(frozen=True, slots=True)
class EnableBackend:
    """Gives a backend new sessions again; ends its drain."""

    id: str


@dataclass(frozen=True, slots=True)
class FailOverBackend:
    """Moves the sessions of a backend to others at once."""

    id: str


@dataclass(frozen=True, slots=True)
class DrainBackend:
    """Gives a backend no new sessions, and moves each of its sessions when it is quiet."""

    id: str


@dataclass(frozen=True, slots=True)
class ResetBackend:
    """Resets the breaker of a backend, so that it is dialled again at once."""

    id: str


@dataclass(frozen=True, slots=True)
class RemoveBackend:
    """Removes a backend, or all backends of a DNS name, and moves their sessions to others.

    If failover is disabled, the sessions end instead: clients see 1001. A reload does not bring a
    removed backend back.
    """

    id: str


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Closes a session: its client sees code and reason, its backend 1001."""

    id: str
    code: int = 1000
    reason: str = "closed by the operator"


@dataclass(frozen=True, slots=True)
class FailOverSession:
    """Moves a session to another backend at once."""

    id: str


@dataclass(frozen=True, slots=True)
class SendToClient:
    """Sends a text or binary message to the client of a session."""

    __pydantic_config__: ClassVar = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    id: str
    text: str = ""
    binary: bytes | None = None


@dataclass(frozen=True, slots=True)
class PauseFrontend:
    """Refuses new clients of a frontend with 503; sessions stay."""

    id: str


@dataclass(frozen=True, slots=True)
class ResumeFrontend:
    """Accepts new clients of a frontend again."""

    id: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Reloads the configuration."""


BackendCommand: TypeAlias = (
    DisableBackend | EnableBackend | FailOverBackend | DrainBackend | ResetBackend | RemoveBackend
)
SessionCommand: TypeAlias = CloseSession | FailOverSession | SendToClient
FrontendCommand: TypeAlias = PauseFrontend | ResumeFrontend
Command: TypeAlias = AddBackend | BackendCommand | SessionCommand | FrontendCommand | Reload
