"""Describes the calls as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from .. import __version__
from ..config.upstream_options import BackendEntry
from ..control.status import BackendStatus, FrontendStatus, SessionStatus
from .answers import BACKEND_KEYS, SESSION_KEYS
from .calls import CALLS, Answer, Call

_STRING: dict[str, Any] = {"type": "string"}
_OF_TYPES = {str: _STRING, int: {"type": "integer", "minimum": 0}, bool: {"type": "boolean"}}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _list_of(status: type, keys: Mapping[str, str]) -> dict[str, Any]:
    types = get_type_hints(status)
    properties = {key: _OF_TYPES[types[name]] for key, name in keys.items()}
    return _array({"type": "object", "properties": properties, "required": list(properties)})


_RESULT: dict[str, Any] = {
    "type": "object",
    "properties": {"result": {"enum": ["success", "failed"]}, "reason": _STRING},
    "required": ["result"],
    "additionalProperties": False,
}
_IDS = ("added", "removed", "changed", "unchanged", "deleted", "waiting")
_RELOAD: dict[str, Any] = {
    **_RESULT,
    "properties": {
        **_RESULT["properties"],
        "summary": _STRING,
        **dict.fromkeys(_IDS, _array(_STRING)),
    },
}
_ANSWERS: dict[Answer, dict[str, Any]] = {
    "backends": _list_of(BackendStatus, BACKEND_KEYS),
    "config": {"type": "object"},
    "sessions": _list_of(SessionStatus, SESSION_KEYS),
    "frontends": _list_of(FrontendStatus, {"id": "id", "paused": "paused"}),
    "action": _RESULT,
    "reload": _RELOAD,
    "health": {
        "type": "object",
        "properties": {
            "status": _STRING,
            "reasons": _array(_STRING),
            "unservedRoutes": _array(_STRING),
        },
        "required": ["status"],
    },
    "openapi": {"type": "object"},
    "text": _STRING,
}
_BACKEND = BackendEntry.model_json_schema()
_BACKEND["properties"]["route"] = {
    **_STRING,
    "description": "id of the route that gets the backend, if that route has its own backends",
}
_BODIES: dict[str, dict[str, Any]] = {
    "backends.add": {"application/json": _BACKEND},
    "sessions.send": {"text/plain": _STRING, "application/octet-stream": {}},
}


def openapi() -> dict[str, Any]:
    """Returns the description of the whole API."""
    paths: dict[str, Any] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "wsgw admin API", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Result": _RESULT},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "summary": call.meaning,
        "responses": {"200": _response("the answer", call.answer)},
        "security": [{}] if call.role is None else [{"token": [call.role]}, {}],
    }
    responses = operation["responses"]
    if call.role is not None:
        responses["401"] = _response("the token is missing or wrong")
        responses["403"] = _response(
            "the caller lacks the role, or its origin or Host header is not allowed"
        )
    if call.method == "POST":
        responses["400"] = _response("the request or its body is malformed")
        responses["413"] = _response("the body is too large")
        responses["501"] = _response("the configuration of this gateway does not allow that")
    if call.answer == "health":
        responses["503"] = _response("not ready", "health")
    if "{id}" in call.path:
        operation["parameters"] = [
            {"name": "id", "in": "path", "required": True, "schema": _STRING}
        ]
    if call.name in _BODIES:
        operation["requestBody"] = {
            "required": True,
            "content": {media: {"schema": schema} for media, schema in _BODIES[call.name].items()},
        }
    return operation


def _response(description: str, answer_of: Answer = "action") -> dict[str, Any]:
    media_type = "text/plain" if answer_of == "text" else "application/json"
    schema = _ANSWERS[answer_of]
    if schema is _RESULT:
        schema = {"$ref": "#/components/schemas/Result"}
    return {"description": description, "content": {media_type: {"schema": schema}}}
