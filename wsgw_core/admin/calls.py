"""The table of all admin calls; application, documentation and OpenAPI follow from it."""

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
        name: the key of the function that answers, such as `backends.list`.
        method: the HTTP method.
        path: the path, with `{id}` for an id.
        role: the role that the caller's token needs; None: everyone may call.
        meaning: describes the call for people.
        answer: the kind of the answer's body.
        unknown: the answer of an action to an unknown id, in words.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    role: Role | None
    meaning: str
    answer: Answer = "action"
    unknown: str = ""


NO_ACTION = "NoActionRequired"
_FAILED = "failed"

CALLS = (
    Call("backends.list", "GET", "/backend/list", "read", "lists the backends", "backends"),
    Call(
        "backends.add",
        "POST",
        "/backend/add",
        "operate",
        "adds a backend, or all backends found by a DNS name",
    ),
    Call(
        "backends.config",
        "GET",
        "/backend/config/{id}",
        "read",
        "shows the configuration of a backend, or of the backends found by a DNS name",
        "config",
        "an empty object",
    ),
    Call(
        "backends.disable",
        "POST",
        "/backend/disable/{id}",
        "operate",
        "gives a backend no new sessions; its sessions stay",
        unknown=NO_ACTION,
    ),
    Call(
        "backends.enable",
        "POST",
        "/backend/enable/{id}",
        "operate",
        "gives a backend new sessions again; ends its drain",
        unknown=_FAILED,
    ),
    Call(
        "backends.fail_over",
        "POST",
        "/backend/failover/{id}",
        "operate",
        "moves the sessions of a backend to others at once",
        unknown=NO_ACTION,
    ),
    Call(
        "backends.drain",
        "POST",
        "/backend/drain/{id}",
        "operate",
        "gives a backend no new sessions and moves each of its sessions when it is quiet; enabling"
        " the backend stops the drain",
        unknown=_FAILED,
    ),
    Call(
        "backends.reset",
        "POST",
        "/backend/reset/{id}",
        "operate",
        "resets the breaker of a backend",
        unknown=_FAILED,
    ),
    Call(
        "backends.delete",
        "POST",
        "/backend/delete/{id}",
        "operate",
        "removes a backend, or all backends found by a DNS name, and moves their sessions",
        unknown=NO_ACTION,
    ),
    Call("sessions.list", "GET", "/session/list", "read", "lists the sessions", "sessions"),
    Call(
        "sessions.abort",
        "POST",
        "/session/abort/{id}",
        "operate",
        "closes a session: its client sees 1000, its backend 1001",
        unknown=NO_ACTION,
    ),
    Call(
        "sessions.fail_over",
        "POST",
        "/session/failover/{id}",
        "operate",
        "moves a session to another backend at once",
        unknown=_FAILED,
    ),
    Call(
        "sessions.send",
        "POST",
        "/session/send/{id}",
        "send",
        "sends a message to the client of a session",
        unknown=_FAILED,
    ),
    Call("frontends.list", "GET", "/frontend/list", "read", "lists the frontends", "frontends"),
    Call(
        "frontends.pause",
        "POST",
        "/frontend/pause/{id}",
        "operate",
        "refuses new clients with 503; sessions stay",
        unknown=_FAILED,
    ),
    Call(
        "frontends.resume",
        "POST",
        "/frontend/resume/{id}",
        "operate",
        "accepts new clients again",
        unknown=_FAILED,
    ),
    Call(
        "configuration.reload",
        "POST",
        "/reload",
        "operate",
        "reloads the configuration and reports what has changed; if it fails, it reports why and"
        " changes nothing",
        "reload",
    ),
    Call(
        "health.alive", "GET", "/healthz", None, "answers 200 while the process is alive", "health"
    ),
    Call(
        "health.ready",
        "GET",
        "/readyz",
        None,
        "answers 200 if clients can be sent here, else 503 and the reasons",
        "health",
    ),
    Call(
        "metrics.show",
        "GET",
        "/metrics",
        None,
        "shows the metrics in Prometheus' text format",
        "text",
    ),
    Call(
        "openapi.show",
        "GET",
        "/openapi.json",
        "read",
        "describes these calls as OpenAPI",
        "openapi",
    ),
)

BY_PATH = {call.path: call for call in CALLS}
