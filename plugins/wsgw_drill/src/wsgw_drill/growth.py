"""Detects growth of the gateway during a long drill."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from .gateway_process import Footprint

_ENOUGH = 12  # samples: fewer are not conclusive
_ALLOWED_MEMORY = 1.1
_ALLOWED_FILES = 4


@dataclass(frozen=True)
class Sample:
    """The footprint of the gateway after a round, when its clients have left."""

    time: float
    way: str
    footprint: Footprint | None

    @classmethod
    def take(cls, way: str, footprint: Footprint | None) -> Sample:
        """Returns a sample with the current time."""
        return cls(time.time(), way, footprint)


@dataclass
class Growth:
    """The samples, and the failures found in them."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Adds a sample."""
        self.samples.append(sample)

    def judge(self) -> None:
        """Compares the last quarter of a long drill with the second quarter.

        Ways differ in their need of memory, so both quarters have each way equally often.
        """
        ways = len({sample.way for sample in self.samples})
        found = [sample.footprint for sample in self.samples if sample.footprint is not None]
        quarter = len(found) // (4 * ways) * ways if ways else 0
        if len(found) < _ENOUGH or not quarter:
            return
        before, after = found[quarter : 2 * quarter], found[-quarter:]
        early, late = _most_memory(before), _most_memory(after)
        if late > early * _ALLOWED_MEMORY:
            self.failures.append(
                f"the gateway grows: {early / 2**20:.1f} MiB in the second quarter of the rounds,"
                f" {late / 2**20:.1f} MiB in the last"
            )
        files = min(each.files for each in after) - min(each.files for each in before)
        if files > _ALLOWED_FILES:
            self.failures.append(f"the gateway grows: {files} more open files than before")

    def as_data(self) -> list[dict[str, Any]]:
        """Returns the data for the JSON report."""
        return [
            {
                "time": sample.time,
                "way": sample.way,
                "resident": sample.footprint.resident,
                "peak": sample.footprint.peak,
                "files": sample.footprint.files,
            }
            for sample in self.samples
            if sample.footprint is not None
        ]


def _most_memory(footprints: list[Footprint]) -> int:
    return max(each.resident for each in footprints)
