"""Parses the JSON of a message in bounded time."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

# A mebibyte of short lists would take five times as long as any other mebibyte of JSON.
_MOST_CONTAINERS = 65_536


class TooManyContainers(ValueError):
    """A document has so many lists and objects that it would take long to parse."""


def read_json(data: bytes, *, allow_inf_nan: bool = True) -> Any:
    """Returns a JSON document.

    Args:
        data: the document; its size must be limited.
        allow_inf_nan: whether it may contain infinite numbers and NaN.

    Raises:
        ValueError: it is not JSON, or is nested too deep.
        TooManyContainers: it has more than 65,536 lists and objects; brackets in texts count, too.
    """
    if len(data) > _MOST_CONTAINERS and data.count(b"[") + data.count(b"{") > _MOST_CONTAINERS:
        raise TooManyContainers(f"more than {_MOST_CONTAINERS} lists and objects")
    return from_json(data, allow_inf_nan=allow_inf_nan)
