"""Converts the core's counters and the metrics of plugins to Prometheus' types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from ..api.metrics import MAX_SERIES, OVERFLOW, Histogram, MetricFamily, Metrics, label_values

GaugeFault = Callable[[MetricFamily, Exception], None]


def collect(metrics: Metrics, on_fault: GaugeFault) -> Iterator[Metric]:
    """Yields each metric with its values.

    Args:
        metrics: the metrics of a gateway or of a plugin object.
        on_fault: called for a gauge whose reader raises; the gauge is omitted.
    """
    for family in metrics:
        name = f"wsgw_{family.name}"
        if family.kind == "counter":
            counter = CounterMetricFamily(name, family.help, labels=family.labels)
            for values, counted in family.series.items():
                counter.add_metric(values, counted.value)
            yield counter
        elif family.kind == "histogram":
            histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
            for values, counted in family.series.items():
                histogram.add_metric(values, *buckets(counted))
            yield histogram
        else:
            gauge = GaugeMetricFamily(name, family.help, labels=family.labels)
            for values, number in _read(family, on_fault).items():
                gauge.add_metric(values, number)
            yield gauge


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
