"""A gateway that grows is found out; one that breathes is not."""

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


def test_memory_that_goes_on_growing_is_told() -> None:
    assert judged([50 + 2 * number for number in range(20)]) == [
        "the gateway grows: 68.0 MiB in the second quarter of the rounds, 88.0 MiB in the last"
    ]


def test_open_files_that_go_on_growing_are_told() -> None:
    failures = judged([50] * 20, [10 + number for number in range(20)])

    assert failures == ["the gateway has 10 more files open than before"]


@pytest.mark.parametrize("rounds", [0, 1, 11])
def test_a_short_drill_tells_nothing(rounds: int) -> None:
    assert judged([50.0 * number for number in range(rounds)]) == []


def test_a_way_that_needs_more_than_those_before_is_no_growth() -> None:
    footprints = [Footprint(round(number * MIB), 0, 10) for number in range(50, 70)]
    once = Growth([Sample(0, f"way {one.resident}", one) for one in footprints])
    once.judge()
    again = Growth([Sample(0, f"way {one.resident}", one) for one in footprints * 5])
    again.judge()

    assert once.failures == again.failures == []


def test_a_process_that_is_not_known_cannot_be_judged() -> None:
    growth = Growth([Sample(0, "kill", None)] * 20)
    growth.judge()

    assert growth.failures == []
    assert growth.as_data() == []
