"""Finds a value in a message."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from wsgw_core.api import TextOption

from ..json_path import MISSING, JsonPath
from ..safe_pattern import compiled
from .condition import single_path
from .reading import Reading


class Finder(TextOption):
    """Finds a key or an id: a JSON path (`$.topic`), or a regular expression with one group.

    Args:
        text: from the configuration.

    Raises:
        ValueError: the text is neither.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._path: JsonPath | None = None
        self._pattern: Any = None
        if text.startswith("$"):
            self._path = single_path(text)
        else:
            self._pattern = compiled([text])
            if self._pattern.groups != 1:
                raise ValueError("neither a path such as $.topic nor an expression with one group")

    def found_in(self, reading: Reading) -> bytes | None:
        """Returns the value, as text or as JSON; None if there is none."""
        if self._path is None:
            match = self._pattern.search(reading.data)
            return None if match is None else match[1]
        value = self._path.value_in(reading.document)
        if value is MISSING or value is None:
            return None
        return value.encode() if isinstance(value, str) else to_json(value)
