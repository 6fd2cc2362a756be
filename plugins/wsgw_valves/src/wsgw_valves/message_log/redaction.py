"""Removes secrets from texts."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import to_json

from ..bounded_json import TooManyContainers, read_json
from ..json_path import JsonPath
from ..safe_pattern import SafePattern, compiled

_MARK = "***"
_MOST_FOUND = 1000  # matches in one message; each needs a new search


class Unredactable(Exception):
    """The text of a message must not be logged.

    Args:
        why: the reason, one word.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class Redaction:
    """Replaces values and matches of patterns in texts.

    Args:
        paths: paths to values in JSON documents.
        patterns: regular expressions.
        most: maximum bytes of a text to search.
    """

    def __init__(
        self, paths: Sequence[JsonPath], patterns: Sequence[SafePattern], most: int
    ) -> None:
        self._paths = paths
        self._pattern = compiled([str(each) for each in patterns]) if patterns else None
        self._most = most

    def of(self, data: bytes) -> bytes:
        """Returns a text without secrets.

        Args:
            data: UTF-8.

        Raises:
            Unredactable: the text cannot be searched.
        """
        if self._paths:
            data = self._without_values(self._readable(data))
        if self._pattern is not None:
            data, count = self._pattern.subn(
                _MARK.encode(), self._readable(data), count=_MOST_FOUND
            )
            if count >= _MOST_FOUND:
                raise Unredactable("too-much")
        return data

    def _readable(self, data: bytes) -> bytes:
        if len(data) > self._most:
            raise Unredactable("size")
        return data

    def _without_values(self, data: bytes) -> bytes:
        try:
            document = read_json(data)
        except TooManyContainers:
            raise Unredactable("size") from None
        except ValueError:
            raise Unredactable("not-json") from None
        for path in self._paths:
            path.replace(document, _MARK)
        return to_json(document)
