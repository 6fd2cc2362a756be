"""Every call of the admin API: application, documentation and OpenAPI follow from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..config.admin_token import Role

Answer = Literal[
    "backends", "config", "sessions", "frontends", "action", "reload", "health", "text", "openapi"
]


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        name: of the method that answers, such as `backends.list`.
        method: of HTTP.
        path: with `{id}` where an id stands.
        role: what the caller's token must allow; None: anybody may call.
        meaning: for people.
        answer: what the body of the answer is.
        unknown: what an action answers when there is nothing of this id, in words.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    role: Role | None
    meaning: str
    answer: Answer = "action"
    unknown: str = ""

    @property
    def is_action(self) -> bool:
        """Whether it changes something."""
        return self.method == "POST"


NO_ACTION = "NoActionRequired"
_FAILED = "failed"

CALLS = (
    Call("backends.list", "GET", "/backend/list", "read", "all backends", "backends"),
    Call(
        "backends.add",
        "POST",
        "/backend/add",
        "operate",
        "open a backend and offer it, or all that are found by a name",
    ),
    Call(
        "backends.config",
        "GET",
        "/backend/config/{id}",
        "read",
        "the configuration of a backend, or of those that are found by a name",
        "config",
        "an empty object",
    ),
    Call(
        "backends.disable",
        "POST",
        "/backend/disable/{id}",
        "operate",
        "no new sessions for a backend; those it has stay",
        unknown=NO_ACTION,
    ),
    Call(
        "backends.enable",
        "POST",
        "/backend/enable/{id}",
        "operate",
        "new sessions for a backend again",
        unknown=_FAILED,
    ),
    Call(
        "backends.fail_over",
        "POST",
        "/backend/failover/{id}",
        "operate",
        "move each session of a backend to another now",
        unknown=NO_ACTION,
    ),
    Call(
        "backends.drain",
        "POST",
        "/backend/drain/{id}",
        "operate",
        "no new sessions for a backend, and move those it has when they are quiet;"
        " enable it to call that off",
        unknown=_FAILED,
    ),
    Call(
        "backends.reset",
        "POST",
        "/backend/reset/{id}",
        "operate",
        "reset the breaker of a backend",
        unknown=_FAILED,
    ),
    Call(
        "backends.delete",
        "POST",
        "/backend/delete/{id}",
        "operate",
        "remove a backend, or all that are found by a name, and move their sessions to others",
        unknown=NO_ACTION,
    ),
    Call("sessions.list", "GET", "/session/list", "read", "all sessions", "sessions"),
    Call(
        "sessions.abort",
        "POST",
        "/session/abort/{id}",
        "operate",
        "close a session: its client sees 1000, its backend 1001",
        unknown=NO_ACTION,
    ),
    Call(
        "sessions.fail_over",
        "POST",
        "/session/failover/{id}",
        "operate",
        "move a session to another backend now",
        unknown=_FAILED,
    ),
    Call(
        "sessions.send",
        "POST",
        "/session/send/{id}",
        "send",
        "send a message to a session's client",
        unknown=_FAILED,
    ),
    Call("frontends.list", "GET", "/frontend/list", "read", "all frontends", "frontends"),
    Call(
        "frontends.pause",
        "POST",
        "/frontend/pause/{id}",
        "operate",
        "new clients get 503; sessions stay",
        unknown=_FAILED,
    ),
    Call(
        "frontends.resume",
        "POST",
        "/frontend/resume/{id}",
        "operate",
        "let new clients in again",
        unknown=_FAILED,
    ),
    Call(
        "configuration.reload",
        "POST",
        "/reload",
        "operate",
        "read the configuration anew, and tell what has changed; a failure tells why, and nothing"
        " was changed",
        "reload",
    ),
    Call("health.alive", "GET", "/healthz", None, "200 while the process lives", "health"),
    Call(
        "health.ready",
        "GET",
        "/readyz",
        None,
        "200 when clients should be sent here, else 503 and why not",
        "health",
    ),
    Call("metrics.show", "GET", "/metrics", None, "metrics, as Prometheus reads them", "text"),
    Call("openapi.show", "GET", "/openapi.json", "read", "these calls, for programs", "openapi"),
)

BY_PATH = {call.path: call for call in CALLS}
