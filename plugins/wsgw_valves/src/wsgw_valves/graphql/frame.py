"""Finds the type and the id of a message."""

from __future__ import annotations

import re

from ..bounded_json import read_json

_SPACE = rb"[ \t\r\n]*+"
_COLON = _SPACE + b":" + _SPACE
_COMMA = _SPACE + b"," + _SPACE
_ID = rb'"id"' + _COLON + rb'"([^"\\\x00-\x1f]++)"'
_TYPE = rb'"type"' + _COLON + rb'"([a-z_]++)"'
# The format of nearly every library; with it the rest needs no parsing.
_HEAD = re.compile(
    _SPACE + rb"\{" + _SPACE + b"(?:" + _ID + _COMMA + _TYPE
    + b"|" + _TYPE + b"(?:" + _COMMA + _ID + b")?)" + _SPACE + b"[,}]"
)  # fmt: skip
_WITHOUT_ID = {b"connection_init", b"connection_ack", b"ping", b"pong"}


def read_frame(data: bytes, max_size: int) -> tuple[bytes, bytes]:
    """Returns the type and the id of a message, each empty if it has none.

    Args:
        data: of the message; any bytes.
        max_size: a larger message is only understood if these are its first members.
    """
    match = _HEAD.match(data)
    if match is not None:
        first_id, first_type, second_type, second_id = match.groups()
        if first_type is not None:
            return first_type, first_id
        if second_id is not None or second_type in _WITHOUT_ID:
            return second_type, second_id or b""
    message = read_object(data, max_size)
    type_, id_ = message.get("type"), message.get("id")
    return (
        type_.encode() if isinstance(type_, str) else b"",
        id_.encode() if isinstance(id_, str) else b"",
    )


def read_object(data: bytes, max_size: int) -> dict[str, object]:
    """Returns the JSON object in a message; empty if there is none, or above `max_size`."""
    if len(data) > max_size:
        return {}
    try:
        found = read_json(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
