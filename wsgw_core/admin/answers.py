"""Builds JSON answers in the form that wsbalancer's clients expect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from aiohttp import web

# Escapes non-ASCII characters, which could hide in an answer; no spaces, because scripts grep.
_dumps = partial(json.dumps, separators=(",", ":"))

Reason = Literal[
    "NoActionRequired",
    "OnlyPostAllowed",
    "OnlyGetAllowed",
    "NotImplemented",
    "NotFound",
    "BadRequest",
    "BodyTooLarge",
    "TookTooLong",
    "InternalError",
]


# The keys of a listed backend and of a listed session, each with the attribute of its status.
BACKEND_KEYS = {
    "url": "url",
    "id": "id",
    "discoveredBy": "discovered_by",
    "activeConnections": "connections",
    "enabled": "enabled",
    "tripped": "tripped",
    "away": "away",
    "down": "down",
    "healthy": "healthy",
    "totalConnections": "connections_opened",
    "totalFailures": "failures",
    "priority": "priority",
    "weight": "weight",
    "route": "group",
}
SESSION_KEYS = {
    "id": "id",
    "uri": "target",
    "backendId": "backend",
    "reconnects": "reconnects",
    "msgsReceived": "messages_received",
    "msgsSent": "messages_sent",
    "state": "state",
    "hydrating": "hydrating",
    "route": "route",
}


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Returns a JSON answer that browsers neither cache nor sniff."""
    return web.json_response(
        body,
        status=status,
        headers={
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
        dumps=_dumps,
    )


def success(**more: object) -> web.Response:
    """Returns the answer of a successful action, with more keys."""
    return answer({"result": "success", **more})


def failed(
    reason: Reason | str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Returns the answer of a failed action.

    Args:
        reason: a word for programs, or a sentence; None: the answer gives no reason.
        status: the HTTP status; like wsbalancer, most failed actions answer 200.
        headers: additional headers.
    """
    body = {"result": "failed"} if reason is None else {"result": "failed", "reason": reason}
    return answer(body, status, headers)
