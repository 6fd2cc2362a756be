"""Converts the core's counters and the metrics of plugins to Prometheus' types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, cast

from prometheus_client import metrics_core
from prometheus_client.metrics_core import Metric

from ..api.metrics import MAX_SERIES, OVERFLOW, Histogram, MetricFamily, Metrics, label_values
from .families import Family

GaugeFault = Callable[[MetricFamily, Exception], None]
Row = tuple[tuple[str, ...], Any]  # the values of the labels, and what was counted

_TYPES: dict[str, Any] = {
    "counter": metrics_core.CounterMetricFamily,
    "gauge": metrics_core.GaugeMetricFamily,
    "histogram": metrics_core.HistogramMetricFamily,
}


def metric(name: str, family: Family | MetricFamily, rows: Iterable[Row]) -> Metric:
    """Returns one metric of Prometheus.

    Args:
        name: its full name.
        family: its type, help and labels.
        rows: for each combination of labels a number, or for a histogram what `buckets` returns.
    """
    made = _TYPES[family.kind](name, family.help, labels=family.labels)
    for values, counted in rows:
        made.add_metric(values, *(counted if family.kind == "histogram" else (counted,)))
    return cast("Metric", made)


def collect(metrics: Metrics, on_fault: GaugeFault) -> Iterator[Metric]:
    """Yields each metric with its values.

    Args:
        metrics: the metrics of a gateway or of a plugin object.
        on_fault: called for a gauge whose reader raises; the gauge is omitted.
    """
    for family in metrics:
        rows: Iterable[Row]
        if family.kind == "counter":
            rows = ((values, counted.value) for values, counted in family.series.items())
        elif family.kind == "histogram":
            rows = ((values, buckets(counted)) for values, counted in family.series.items())
        else:
            rows = _read(family, on_fault).items()
        yield metric(f"wsgw_{family.name}", family, rows)


def buckets(counted: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Returns the cumulative buckets of a histogram, and the sum."""
    bounds = [*(f"{bound:g}" for bound in counted.bounds), "+Inf"]
    return list(zip(bounds, accumulate(counted.counts), strict=True)), counted.sum


def _read(family: MetricFamily, on_fault: GaugeFault) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = {}
    for first, read in family.readers:
        try:
            for values, number in _rows(read(), len(family.labels) - len(first)):
                sums[first + values] = sums.get(first + values, 0) + number
        except Exception as error:  # noqa: BLE001 - a fault in the code of a plugin
            on_fault(family, error)
    return sums


def _rows(
    read: float | Mapping[object, float], labels: int
) -> Iterable[tuple[tuple[str, ...], float]]:
    if not labels:
        return [((), float(read))]  # type: ignore[arg-type]  # what is no number fails
    rows: dict[tuple[str, ...], float] = {}
    for key, number in read.items():  # type: ignore[union-attr]  # as above
        values = label_values(key if isinstance(key, tuple) else (key,))
        if len(values) != labels:
            raise ValueError(f"{key!r} is not {labels} values of labels")
        if values not in rows and len(rows) >= MAX_SERIES:
            values = (OVERFLOW,) * labels
        rows[values] = rows.get(values, 0.0) + float(number)
    return rows.items()
