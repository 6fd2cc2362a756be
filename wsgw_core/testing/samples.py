"""The numbers that a plugin's metrics show."""

from __future__ import annotations

from wsgw_core.api import Metrics
from wsgw_core.api.metrics import MetricFamily
from wsgw_core.metrics.series import collect

__all__ = ["samples"]


def samples(metrics: Metrics) -> dict[str, float]:
    """Returns the numbers that Prometheus would read, by name and labels.

    For example `{'wsgw_mask_masked_total{brand="visa"}': 2.0}`.

    Args:
        metrics: the metrics of a context.

    Raises:
        Exception: any exception that the reader of a gauge raises.
    """
    return {
        f"{sample.name}{_labels(sample.labels)}": sample.value
        for metric in collect(metrics, _fail)
        for sample in metric.samples
    }


def _labels(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _fail(_family: MetricFamily, error: Exception) -> None:
    raise error
