"""Parses messages, and finds their ids."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from pydantic_core import to_json

from ..bounded_json import read_json

_OPENING = (b"{", b"[")
_LONGEST_ID = 255  # bytes; peers choose what is kept


def document_of(data: bytes) -> Any:
    """Returns the object or list of a message; None if it is neither."""
    if not data.startswith(_OPENING) and not data.lstrip(b" \t\r\n").startswith(_OPENING):
        return None
    try:
        return read_json(data)
    except ValueError:
        return None


def id_of(document: dict[str, Any]) -> bytes | None:
    """Returns the id of a call or an answer as JSON; None if there is none.

    For a long id it returns a digest, which is not JSON.
    """
    found = document.get("id")
    if not isinstance(found, (str, int, float)) or isinstance(found, bool):
        return None
    id_ = to_json(found)
    return id_ if len(id_) <= _LONGEST_ID else b"#" + sha256(id_).digest()


def is_refusal(answer: dict[str, Any]) -> bool:
    """Returns whether an answer is an error; version 1 has `null` if it is not."""
    return answer.get("error") is not None


def is_answer(document: dict[str, Any]) -> bool:
    """Returns whether a document is an answer."""
    return "method" not in document and ("result" in document or "error" in document)
