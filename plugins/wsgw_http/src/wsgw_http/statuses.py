"""Sets of HTTP statuses, as options write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_RANGE = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def _parse(value: Any) -> Any:
    if isinstance(value, frozenset):
        return value
    items = value.split(",") if isinstance(value, str) else value
    if isinstance(items, int):
        items = [items]
    if not isinstance(items, (list, tuple)) or not items:
        raise ValueError("not a list of statuses such as [408, 500-599]")
    found: set[int] = set()
    for item in items:
        match = _RANGE.fullmatch(str(item).strip())
        if match is None or isinstance(item, bool):
            raise ValueError(f"not a status such as 503 or a range such as 500-599: {item!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range {item} ends before it begins")
        found.update(range(first, last + 1))
    return frozenset(found)


def statuses_text(statuses: frozenset[int]) -> str:
    """Returns statuses as the configuration has them, neighbours as a range."""
    parts: list[list[int]] = []
    for status in sorted(statuses):
        if parts and parts[-1][-1] == status - 1:
            parts[-1][1:] = [status]
        else:
            parts.append([status])
    return ", ".join("-".join(map(str, part)) for part in parts)


Statuses = Annotated[
    frozenset[int],
    BeforeValidator(_parse),
    PlainSerializer(statuses_text, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "integer"]},
                {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1},
            ],
            "examples": [[408, "500-599"], "500-599"],
        }
    ),
]
"""An options type: a list of statuses and ranges, or one text with commas."""
