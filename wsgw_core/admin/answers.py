"""The JSON bodies of answers, as wsbalancer's clients expect them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from aiohttp import web

# Escapes what is not ASCII, so that nothing can hide in an answer; no spaces, as scripts grep.
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


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with a JSON document, which no browser may keep or take for something else."""
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


def success() -> web.Response:
    """Answer that the action was taken."""
    return answer({"result": "success"})


def no_action_required() -> web.Response:
    """Answer that everything was as asked for already."""
    return answer({"result": "success", "reason": "NoActionRequired"})


def failed(
    reason: Reason | str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer that the action was not taken.

    Args:
        reason: a word that programs know, or a sentence; None: it goes without saying.
        status: of HTTP; wsbalancer's answers to actions have 200 all the same.
        headers: beside the usual ones.
    """
    body = {"result": "failed"} if reason is None else {"result": "failed", "reason": reason}
    return answer(body, status, headers)


def not_implemented() -> web.Response:
    """Answer that this gateway, as it is configured, cannot do that."""
    return failed("NotImplemented", 501)
