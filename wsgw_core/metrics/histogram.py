"""Counts how long things take, or how late they are; for what does not happen per message."""

from __future__ import annotations

from bisect import bisect_left

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Numbers sorted into buckets.

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
