"""Counters that cost a plain addition."""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Counter:
    """A number that only grows. Add to `value` directly.

    Attributes:
        name: the metric's name without the prefix `wsgw_` and the suffix `_total`.
        help: one sentence for whoever reads the metrics.
    """

    __slots__ = ("help", "name", "value")

    def __init__(self, name: str, help_text: str) -> None:
        self.name = name
        self.help = help_text
        self.value = 0


class Metrics:
    """The counters of one gateway: its own and those of its plugins."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def counter(self, name: str, help_text: str) -> Counter:
        """Return the counter of this name, made at the first call.

        Raises:
            ValueError: the name has other characters than lower case letters, digits and `_`.
        """
        if not _NAME.match(name):
            raise ValueError(f"not a metric name: {name!r}")
        return self._counters.setdefault(name, Counter(name, help_text))

    def __iter__(self) -> Iterator[Counter]:
        return iter(self._counters.values())
