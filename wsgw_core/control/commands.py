"""What can be done to a gateway; see Control.do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True)
class AddBackend:
    """Open a backend and offer it to sessions, or look for the backends of a name from now on.

    Attributes:
        entry: as the configuration's `upstream.backends` has it.
        group: the id of a route that has backends of its own; empty: for all other routes.
        may_name_files: whether the entry may name files, which are then read.
    """

    entry: Any
    group: str = ""
    may_name_files: bool = False


@dataclass(frozen=True, slots=True)
class DisableBackend:
    """Give a backend no new sessions; those it has stay."""

    id: str


@dataclass(frozen=True, slots=True)
class EnableBackend:
    """Give a backend new sessions again; a drain of it ends."""

    id: str


@dataclass(frozen=True, slots=True)
class FailOverBackend:
    """Move each session of a backend to another one now."""

    id: str


@dataclass(frozen=True, slots=True)
class DrainBackend:
    """Give a backend no new sessions, and move those it has when they are quiet."""

    id: str


@dataclass(frozen=True, slots=True)
class ResetBackend:
    """Forget the failures of a backend: it may be dialled again at once."""

    id: str


@dataclass(frozen=True, slots=True)
class RemoveBackend:
    """Remove a backend, or all that are found by a name, and move their sessions to others.

    Where failover is disabled, the sessions end instead: clients see 1001. No reload brings back
    what was removed so.
    """

    id: str


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Close a session: its client sees code and reason, its backend 1001."""

    id: str
    code: int = 1000
    reason: str = "closed by the operator"


@dataclass(frozen=True, slots=True)
class FailOverSession:
    """Move a session to another backend now."""

    id: str


@dataclass(frozen=True, slots=True)
class SendToClient:
    """Send the client of a session a message: text, or bytes as a binary one."""

    __pydantic_config__: ClassVar = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    id: str
    text: str = ""
    binary: bytes | None = None


@dataclass(frozen=True, slots=True)
class PauseFrontend:
    """Answer new clients of a frontend with 503; sessions stay."""

    id: str


@dataclass(frozen=True, slots=True)
class ResumeFrontend:
    """Let new clients of a frontend in again."""

    id: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the configuration anew."""


BackendCommand: TypeAlias = (
    DisableBackend | EnableBackend | FailOverBackend | DrainBackend | ResetBackend | RemoveBackend
)
SessionCommand: TypeAlias = CloseSession | FailOverSession | SendToClient
FrontendCommand: TypeAlias = PauseFrontend | ResumeFrontend
Command: TypeAlias = AddBackend | BackendCommand | SessionCommand | FrontendCommand | Reload
