from __future__ import annotations

from itertools import pairwise
from typing import cast

import pytest

from .slow_first import dealt


class Item:
    def __init__(self, number: int, *, slow: bool) -> None:
        self.number = number
        self.slow = slow

    def get_closest_marker(self, name: str) -> object:
        return self.slow if name == "slow" and self.slow else None


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
    items = [Item(number, slow=number < slow) for number in range(slow + fast)]

    for piece in pieces(items, workers):
        kinds = [item.slow for item in piece]
        assert kinds == sorted(kinds, reverse=True)
        assert slow // workers <= sum(kinds) <= -(-slow // workers)


def test_processes_do_not_begin_with_neighbours() -> None:
    items = [Item(number, slow=True) for number in range(64)]

    first = sorted(piece[0].number for piece in pieces(items, 8))

    assert min(after - before for before, after in pairwise(first)) > 1
