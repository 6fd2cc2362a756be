"""Parses the beginning of a message such as `[2,"19223201","Heartbeat",{}]`."""

from __future__ import annotations

import re

from pydantic_core import from_json

CALL, CALL_RESULT, CALL_ERROR = b"2", b"3", b"4"

# Identifiers have at most 36 characters; some clients send numbers.
_BEGIN = re.compile(
    rb"""[ \t\r\n]*\[[ \t\r\n]*([234])[ \t\r\n]*,[ \t\r\n]*"""
    rb"""(?:"([^"\\]{0,255})"|("(?:[^"\\]|\\.){0,255}")|(-?[0-9]{1,255}))[ \t\r\n]*,"""
)


def begin_of(data: bytes) -> tuple[bytes, bytes] | None:
    """Returns the type of a message and its identifier; None: not a message of these types."""
    match = _BEGIN.match(data)
    if match is None:
        return None
    kind, plain, escaped, number = match.groups()
    if escaped is None:
        return kind, number if plain is None else plain
    try:
        text: str = from_json(escaped)
    except ValueError:
        return None
    return kind, text.encode()
