"""Detection of a growing gateway."""

from __future__ import annotations

import pytest
from wsgw_drill.gateway_process import Footprint
from wsgw_drill.growth import Growth, Sample

MIB = 2**20


def judged(memory: list[float], files: list[int] | None = None) -> list[str]:
    growth = Growth()
    for number, mebibytes in enumerate(memory):
        opened = files[number] if files else 10
        growth.add(Sample(number, "kill", Footprint(round(mebibytes * MIB), 0, opened)))
    growth.judge()
    return growth.failures


def test_memory_that_settles_is_no_growth() -> None:
    assert judged([30, 40, 50, *(60 + number % 3 for number in range(17))]) == []


def test_growing_memory_is_reported() -> None:
    assert judged([50 + 2 * number for number in range(20)]) == [
        "the gateway grows: 68.0 MiB in the second quarter of the rounds, 88.0 MiB in the last"
    ]


def test_growing_open_files_are_reported() -> None:
    failures = judged([50] * 20, [10 + number for number in range(20)])

    assert failures == ["the gateway grows: 10 more open files than before"]


@pytest.mark.parametrize("rounds", [0, 1, 11])
def test_short_drill_is_not_judged(rounds: int) -> None:
    assert judged([50.0 * number for number in range(rounds)]) == []


def test_way_that_needs_more_memory_is_no_growth() -> None:
    footprints = [Footprint(round(number * MIB), 0, 10) for number in range(50, 70)]
    once = Growth([Sample(0, f"way {one.resident}", one) for one in footprints])
    once.judge()
    again = Growth([Sample(0, f"way {one.resident}", one) for one in footprints * 5])
    again.judge()

    assert once.failures == again.failures == []


def test_unknown_process_is_not_judged() -> None:
    growth = Growth([Sample(0, "kill", None)] * 20)
    growth.judge()

    assert growth.failures == []
    assert growth.as_data() == []
