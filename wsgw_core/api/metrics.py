"""Numbers for operators: counters, gauges and histograms, as Prometheus has them.

Counting costs a plain addition; the text that Prometheus reads is made when it asks.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any, Generic, Literal, TypeVar, overload

MAX_SERIES = 100
"""Values, or combinations of them, that the labels of one metric may have."""
OVERFLOW = "other"
"""The value of the labels beyond that."""
MAX_LABEL = 64
"""Characters of a label's value."""
DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of a histogram of seconds."""

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_SUFFIX = re.compile(r"_(total|created|bucket|count|sum|info)\Z")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_OWN_LABELS = ("le", "quantile")

MetricKind = Literal["counter", "gauge", "histogram"]
GaugeReader = Callable[[], float | Mapping[Any, float]]
_Values = tuple[str, ...]
_SeriesT = TypeVar("_SeriesT")


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


class Histogram:
    """Numbers sorted into buckets, such as durations or sizes.

    Args:
        bounds: the upper bounds of the buckets, ascending; one without a bound is added.

    Attributes:
        bounds: see above.
        counts: the numbers in each bucket, not cumulated.
        sum: of all numbers.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = DURATIONS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, number: float) -> None:
        """Count one number."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.sum += number


class MetricFamily:
    """One metric, with what its labels have made of it.

    Attributes:
        name: without the prefix `wsgw_`; a counter's without `_total`.
        kind, help: as Prometheus has them.
        labels: the names of the labels.
        series: of a counter or histogram, by the values of the labels.
        readers: of a gauge, each with the values of the first labels.
    """

    def __init__(self, name: str, kind: MetricKind, help_text: str, labels: _Values) -> None:
        self.name = name
        self.kind = kind
        self.help = help_text
        self.labels = labels
        self.series: dict[_Values, Any] = {}
        self.readers: list[tuple[_Values, GaugeReader]] = []

    @property
    def total(self) -> int:
        """The sum of a counter, whatever its labels."""
        return sum(counter.value for counter in self.series.values())


class Labelled(Generic[_SeriesT]):
    """A counter or histogram with labels; made by Metrics."""

    def __init__(self, family: MetricFamily, first: _Values, make: Callable[[], _SeriesT]) -> None:
        self._family = family
        self._first = first
        self._count = len(family.labels) - len(first)
        self._make = make
        self._known: dict[_Values, _SeriesT] = {}

    def labels(self, *values: str) -> _SeriesT:
        """Return what counts for these values, in the order of the labels' names.

        A value may come from outside: it is cut after 64 characters, what cannot be printed is
        escaped, and after 100 combinations of values all further ones are counted as `other`.
        """
        found = self._known.get(values)
        if found is not None:
            return found
        if len(values) != self._count:
            raise ValueError(f"{self._family.name} has {self._count} labels, not {len(values)}")
        values = label_values(values)
        if values not in self._known and len(self._known) >= MAX_SERIES:
            values = (OVERFLOW,) * self._count
        if values not in self._known:
            key = self._first + values
            self._known[values] = self._family.series.setdefault(key, self._make())
        return self._known[values]


class Metrics:
    """The metrics of one gateway, or of one plugin's object.

    A plugin's are named after its kind: `counter("returned", ...)` of a kind `pigeon` is
    `wsgw_pigeon_returned_total`. Those of a backend have the label `backend`. Make all of them in
    the factory or in `open`, so that they are shown from the beginning.

    Objects of one kind share a metric: counters and histograms count together, and of gauges the
    sum is shown. What a backend has counted is no longer shown when it is closed.

    Args:
        reserved: names that are taken.
    """

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._families: dict[str, MetricFamily] = {}
        self._users: Tally[tuple[str, _Values]] = Tally()
        self._prefix = ""
        self._first: dict[str, str] = {}
        self._labelled: dict[str, Labelled[Any]] = {}
        self._readers: list[tuple[MetricFamily, tuple[_Values, GaugeReader]]] = []

    @overload
    def counter(self, name: str, help_text: str) -> Counter: ...
    @overload
    def counter(
        self, name: str, help_text: str, label: str, /, *labels: str
    ) -> Labelled[Counter]: ...
    def counter(self, name: str, help_text: str, *labels: str) -> Counter | Labelled[Counter]:
        """Return the counter of this name, made at the first call.

        Args:
            name: lower case letters, digits and `_`; without `_total`.
            help_text: one sentence for whoever reads the metrics.
            *labels: their names; with one or more, `labels(...)` of what is returned has counters.

        Raises:
            ValueError: the name is not allowed, or taken by another metric.
        """
        family = self._family(name, "counter", help_text, labels)
        return self._series(family, lambda: Counter(family.name, family.help))

    @overload
    def histogram(
        self, name: str, help_text: str, /, *, bounds: tuple[float, ...] = DURATIONS
    ) -> Histogram: ...
    @overload
    def histogram(
        self,
        name: str,
        help_text: str,
        label: str,
        /,
        *labels: str,
        bounds: tuple[float, ...] = DURATIONS,
    ) -> Labelled[Histogram]: ...
    def histogram(
        self, name: str, help_text: str, *labels: str, bounds: tuple[float, ...] = DURATIONS
    ) -> Histogram | Labelled[Histogram]:
        """Return the histogram of this name, made at the first call; see `counter`.

        Args:
            name: by convention it ends with the unit, such as `_seconds`.
            help_text: see `counter`.
            *labels: see `counter`.
            bounds: of the buckets, ascending, at most 50.
        """
        if not 0 < len(bounds) <= 50 or any(b <= a for a, b in pairwise(bounds)):
            raise ValueError(f"bounds of {name} must ascend, 1 to 50 of them")
        family = self._family(name, "histogram", help_text, labels)
        return self._series(family, lambda: Histogram(bounds))

    def gauge(self, name: str, help_text: str, read: GaugeReader, *labels: str) -> None:
        """Show a number that `read` returns each time somebody asks for the metrics.

        Args:
            name: see `counter`.
            help_text: see `counter`.
            read: plain and quick. Without labels it returns a number, with one label a mapping from
                its values to numbers, with several a mapping from tuples of values. At most 100
                values are shown, and the sum of the rest as `other`.
            *labels: see `counter`.
        """
        family = self._family(name, "gauge", help_text, labels)
        entry = (tuple(self._first.values()), read)
        family.readers.append(entry)
        self._readers.append((family, entry))

    def __iter__(self) -> Iterator[MetricFamily]:
        """Iterate over the metrics in the order of their making."""
        return iter(self._families.values())

    # For the core

    def of(self, kind: str, **first_labels: str) -> Metrics:
        """Return what the object of a plugin is given; to be closed with it.

        Args:
            kind: of the object; the metrics' names begin with it.
            **first_labels: each metric has these, before its own.
        """
        view = Metrics(self._reserved)
        view._families = self._families
        view._users = self._users
        view._prefix = _NOT_IN_NAMES.sub("_", kind.lower()).strip("_") + "_"
        view._first = dict(zip(first_labels, label_values(first_labels.values()), strict=True))
        self._users[view._user] += 1
        return view

    def close(self) -> None:
        """Show no more what the object tells; and what it has counted, if it has first labels.

        Unless another object has the same first labels, as after a reload.
        """
        for family, entry in self._readers:
            family.readers.remove(entry)
        self._readers.clear()
        self._users[self._user] -= 1
        if self._users[self._user] > 0 or not self._first:
            return
        del self._users[self._user]
        first = tuple(self._first.values())
        for family in self._families.values():
            if family.name.startswith(self._prefix):
                for values in [each for each in family.series if each[: len(first)] == first]:
                    del family.series[values]

    @property
    def _user(self) -> tuple[str, _Values]:
        return self._prefix, tuple(self._first.values())

    def _family(
        self, name: str, kind: MetricKind, help_text: str, own_labels: _Values
    ) -> MetricFamily:
        full_name, labels = self._prefix + name, (*self._first, *own_labels)
        if not _NAME.match(name) or _SUFFIX.search(full_name):
            raise ValueError(f"not a metric name: {name!r}")
        if len(set(labels)) < len(labels):
            raise ValueError(f"{name}: a label is named twice: {labels}")
        for label in own_labels:
            if not _NAME.match(label) or label in _OWN_LABELS:
                raise ValueError(f"{name}: not a label name: {label!r}")
        family = self._families.setdefault(
            full_name, MetricFamily(full_name, kind, help_text, labels)
        )
        if (family.kind, family.labels) != (kind, labels) or full_name in self._reserved:
            raise ValueError(f"there is another metric wsgw_{full_name}")
        return family

    def _series(
        self, family: MetricFamily, make: Callable[[], _SeriesT]
    ) -> _SeriesT | Labelled[_SeriesT]:
        first = tuple(self._first.values())
        if len(family.labels) > len(first):
            return self._labelled.setdefault(family.name, Labelled(family, first, make))
        series: _SeriesT = family.series.setdefault(first, make())
        return series


def label_values(values: Collection[object]) -> _Values:
    """Return values as labels have them: short, and nothing in them that cannot be printed."""
    return tuple(_escaped(str(value)[:MAX_LABEL]) for value in values)


def _escaped(value: str) -> str:
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)[:MAX_LABEL]
