"""Counters, gauges and histograms in the manner of Prometheus.

Counting costs a plain addition; wsgw makes the text for Prometheus when it is scraped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any, Generic, Literal, TypeVar, overload

MAX_SERIES = 100
"""The maximum number of label values, or combinations of them, of one metric."""
OVERFLOW = "other"
"""The label value for all further ones."""
MAX_LABEL = 64
"""The maximum number of characters of a label value."""
DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The default bounds of a histogram: seconds."""

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
        help: one sentence for the readers of the metrics.
    """

    __slots__ = ("help", "name", "value")

    def __init__(self, name: str, help_text: str) -> None:
        self.name = name
        self.help = help_text
        self.value = 0


class Histogram:
    """Numbers sorted into buckets, such as durations or sizes.

    Args:
        bounds: the upper bounds of the buckets, ascending; the last bucket has no bound.

    Attributes:
        bounds: see above.
        counts: how many numbers each bucket has; not cumulative.
        sum: the sum of all numbers.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = DURATIONS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, number: float) -> None:
        """Counts one number."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.sum += number


class MetricFamily:
    """One metric with the series of all its label values.

    Attributes:
        name: the name without the prefix `wsgw_`, and without a counter's `_total`.
        kind, help: the metric's TYPE and HELP for Prometheus.
        labels: the names of the labels.
        series: a counter's or histogram's series by label values.
        readers: a gauge's functions, each with the values of the first labels.
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
        """The sum of a counter over all label values."""
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
        """Returns the counter or histogram for these values, in the order of the labels' names.

        A value may come from outside. It is cut after 64 characters, and characters that cannot be
        printed are escaped. After 100 combinations of values, all further ones count as `other`.
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

    A plugin's metrics are named after its kind: `counter("returned", ...)` of the kind `pigeon` is
    `wsgw_pigeon_returned_total`. A backend's metrics have the label `backend`. Create all metrics
    in the factory or in `open`, so that they are shown from the start.

    Objects of one kind share their metrics: counters and histograms count together, and gauges are
    added up. When a backend is closed, its series are no longer shown.

    Args:
        reserved: names that no metric may have.
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
        """Returns the counter of this name; creates it at the first call.

        Args:
            name: lower case letters, digits and `_`; without `_total`.
            help_text: one sentence for the readers of the metrics.
            *labels: the names of the labels. With labels, call `labels(...)` on the result to get a
                counter.

        Raises:
            ValueError: the name is not allowed, or another metric has it.
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
        """Returns the histogram of this name; creates it at the first call, see `counter`.

        Args:
            name: by convention it ends with the unit, such as `_seconds`.
            help_text: see `counter`.
            *labels: see `counter`.
            bounds: the upper bounds of the buckets, ascending, at most 50.

        Raises:
            ValueError: see `counter`; or the bounds are wrong.
        """
        if not 0 < len(bounds) <= 50 or any(b <= a for a, b in pairwise(bounds)):
            raise ValueError(f"bounds of {name} must ascend, 1 to 50 of them")
        family = self._family(name, "histogram", help_text, labels)
        return self._series(family, lambda: Histogram(bounds))

    def gauge(self, name: str, help_text: str, read: GaugeReader, *labels: str) -> None:
        """Shows the number that `read` returns at each scrape.

        Args:
            name: see `counter`.
            help_text: see `counter`.
            read: a plain, quick function. Without labels it returns a number, with one label a
                mapping from label values to numbers, with several labels a mapping from tuples of
                values. wsgw shows at most 100 values, and the sum of the rest as `other`.
            *labels: see `counter`.

        Raises:
            ValueError: see `counter`.
        """
        family = self._family(name, "gauge", help_text, labels)
        entry = (tuple(self._first.values()), read)
        family.readers.append(entry)
        self._readers.append((family, entry))

    def __iter__(self) -> Iterator[MetricFamily]:
        """Iterates over the metrics in the order of their creation."""
        return iter(self._families.values())

    # For the core

    def of(self, kind: str, **first_labels: str) -> Metrics:
        """Returns the metrics for one plugin's object; the core closes them with the object.

        Args:
            kind: the object's kind; the names of its metrics begin with it.
            **first_labels: labels that each of its metrics has before its own.
        """
        view = Metrics(self._reserved)
        view._families = self._families
        view._users = self._users
        view._prefix = _NOT_IN_NAMES.sub("_", kind.lower()).strip("_") + "_"
        view._first = dict(zip(first_labels, label_values(first_labels.values()), strict=True))
        self._users[view._user] += 1
        return view

    def close(self) -> None:
        """Removes the object's gauges; and its counters and histograms if it has first labels.

        The latter stay if another object has the same first labels, as after a reload.
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
    """Returns values in the form of label values: short, and printable characters only."""
    return tuple(_escaped(str(value)[:MAX_LABEL]) for value in values)


def _escaped(value: str) -> str:
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)[:MAX_LABEL]
