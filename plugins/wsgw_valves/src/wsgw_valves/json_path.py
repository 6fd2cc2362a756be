"""Finds values of a JSON document by paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from wsgw_core.api import TextOption

_STEP = re.compile(
    r"(?P<deep>\.\.)(?P<below>[\w-]+)"
    r"|\.(?P<name>[\w-]+)|\.(?P<star>\*)|\[(?P<all>\*)\]"
    r"|\[(?P<index>0|[1-9][0-9]{0,8})\]|\['(?P<quoted>[^']+)'\]"
)


MISSING = object()
"""The result if a path finds nothing."""


class _Step(NamedTuple):
    name: str | int | None  # None: all
    deep: bool = False


class JsonPath(TextOption):
    """A path to values (RFC 9535): `$.user.password`, `$..token`, `$.items[*].card`.

    It supports names (`.name`, `['name']`), indexes (`[0]`), all members (`.*`, `[*]`), and once in
    a path a name at any depth (`..name`).

    Args:
        text: from the configuration.

    Raises:
        ValueError: the text is not such a path.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._steps: list[_Step] = []
        at = 1
        while at < len(text) and text.startswith("$"):
            match = _STEP.match(text, at)
            if match is None:
                break
            self._steps.append(_step(match))
            at = match.end()
        if at != len(text) or not self._steps:
            raise ValueError("not a path such as $.user.password, $..token or $.items[*].card")
        if sum(step.deep for step in self._steps) > 1:
            raise ValueError("has '..' more than once")

    @property
    def is_single(self) -> bool:
        """Whether the path finds at most one value."""
        return all(step.name is not None and not step.deep for step in self._steps)

    def value_in(self, document: Any) -> Any:
        """Returns the value of a path for which `is_single` is true, or MISSING."""
        found = document
        for name, _ in self._steps:
            if isinstance(found, dict):
                found = found.get(name, MISSING)
            elif isinstance(found, list) and isinstance(name, int) and name < len(found):
                found = found[name]
            else:
                return MISSING
        return found

    def replace(self, document: Any, value: Any) -> None:
        """Replaces each value that the path finds; changes the document.

        The time is linear in the size of the document, because no value is in two others.
        """
        found = [document]
        for step in self._steps[:-1]:
            found = [each[key] for each, key in _places(found, step)]
        for each, key in _places(found, self._steps[-1]):
            each[key] = value


def _step(match: re.Match[str]) -> _Step:
    if match["deep"]:
        return _Step(match["below"], deep=True)
    if match["index"]:
        return _Step(int(match["index"]))
    return _Step(match["name"] or match["quoted"])


def _places(found: Iterable[Any], step: _Step) -> list[tuple[Any, Any]]:
    """Returns the container and key of each value of a step."""
    if step.deep:
        found = _containers(found)
    places: list[tuple[Any, Any]] = []
    for each in found:
        if isinstance(each, dict):
            if step.name is None:
                places += [(each, key) for key in each]
            elif step.name in each:
                places.append((each, step.name))
        elif isinstance(each, list):
            if step.name is None:
                places += [(each, key) for key in range(len(each))]
            elif isinstance(step.name, int) and step.name < len(each):
                places.append((each, step.name))
    return places


def _containers(found: Iterable[Any]) -> list[Any]:
    every = [each for each in found if isinstance(each, (dict, list))]
    for each in every:  # the list grows in the loop
        inside = each.values() if isinstance(each, dict) else each
        every += [inner for inner in inside if isinstance(inner, (dict, list))]
    return every
