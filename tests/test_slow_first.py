from __future__ import annotations

from itertools import pairwise
from typing import cast

import pytest

from .slow_first import dealt


class Item:
    def __init__(self, number: int, *marks: str, module: int = 0) -> None:
        self.number = number
        self.marks = marks
        self.module = module

    @property
    def nodeid(self) -> str:
        return f"test_{self.module}.py::test_something[{self.number}]"

    @property
    def slow(self) -> bool:
        return "slow" in self.marks

    @property
    def sharing(self) -> bool:
        return "few_processes" in self.marks

    def get_closest_marker(self, name: str) -> object:
        return name if name in self.marks else None


def pieces(items: list[Item], workers: int) -> list[list[Item]]:
    """Returns the piece that each process begins with, as pytest-xdist cuts it."""
    left = cast("list[Item]", dealt(cast("list[pytest.Item]", items), workers))
    assert sorted(left, key=lambda item: item.number) == items
    cut = []
    for others in range(workers, 0, -1):
        cut.append(left[: len(left) // others])
        left = left[len(left) // others :]
    return cut


@pytest.mark.parametrize(
    ("slow", "fast", "workers"),
    [(20, 83, 6), (6, 0, 4), (7, 5, 3), (0, 9, 2), (1, 30, 4), (3, 3, 1)],
)
def test_each_process_begins_with_its_share_of_slow_tests(
    slow: int, fast: int, workers: int
) -> None:
    items = [Item(number, *["slow"][: number < slow]) for number in range(slow + fast)]

    for piece in pieces(items, workers):
        kinds = [item.slow for item in piece]
        assert kinds == sorted(kinds, reverse=True)
        assert slow // workers <= sum(kinds) <= -(-slow // workers)


def test_processes_do_not_begin_with_neighbours() -> None:
    items = [Item(number, "slow") for number in range(64)]

    first = sorted(piece[0].number for piece in pieces(items, 8))

    assert min(after - before for before, after in pairwise(first)) > 1


def test_each_process_has_whole_modules_and_small_ones_first() -> None:
    sizes = [70, 60, 50, *[4] * 20, *[1] * 20]
    modules = [module for module, size in enumerate(sizes) for _ in range(size)]
    items = [Item(number, module=module) for number, module in enumerate(modules)]

    found = [[item.module for item in piece] for piece in pieces(items, 4)]

    for piece in found:
        seen = [sizes[module] for module in dict.fromkeys(piece)]
        assert seen[:10] == [1] * 5 + [4] * 5
        assert seen[10] >= 50
    assert sum(len(set(piece)) for piece in found) <= len(sizes) + 4


def test_few_processes_begin_with_tests_that_share_a_start() -> None:
    marks = [("slow", "few_processes"), ("few_processes",), *[("slow",)] * 3, *[()] * 11]
    items = [Item(number, *marks[number % 16]) for number in range(320)]

    found = pieces(items, 8)

    assert sum(any(item.sharing for item in piece) for piece in found) == 2
    for piece in found:
        assert sum(item.slow for item in piece) == 10
        kinds = [(item.slow, item.sharing) for item in piece if item.slow or item.sharing]
        assert all(item.slow or item.sharing for item in piece[: len(kinds)])


def test_every_test_is_dealt_if_all_share_a_start() -> None:
    items = [Item(number, "few_processes") for number in range(50)]

    assert sum(len(piece) for piece in pieces(items, 4)) == 50
