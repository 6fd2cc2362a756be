"""Whether the gateway grows while it is drilled for a long time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from .gateway_process import Footprint

_ENOUGH = 12  # samples: fewer tell nothing
_ALLOWED_MEMORY = 1.1
_ALLOWED_FILES = 4


@dataclass(frozen=True)
class Sample:
    """What the gateway used when a round was over and its clients were gone."""

    time: float
    way: str
    footprint: Footprint | None

    @classmethod
    def take(cls, way: str, footprint: Footprint | None) -> Sample:
        """Returns a sample of now."""
        return cls(time.time(), way, footprint)


@dataclass
class Growth:
    """The samples, and what is wrong with them."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Adds one."""
        self.samples.append(sample)

    def judge(self) -> None:
        """Compares the last quarter of a long drill with the second.

        Ways differ in what they need, so both quarters have all ways equally often.
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
            self.failures.append(f"the gateway has {files} more files open than before")

    def as_data(self) -> list[dict[str, Any]]:
        """Returns what the JSON report holds."""
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
