"""Gives each process of a run its share of slow tests first, so that all processes end together.

pytest-xdist gives each process one piece of the list of tests, and a process that has finished its
piece takes half of another's. Slow tests are next to each other and mostly wait: without this
module, one process has them all, and the others can only help when nothing else is left. Neighbours
are also alike, such as tests that each start a broker, so no two processes begin with neighbours.

Tests marked `few_processes` share what is slow to start, which each process with such a test has to
start. Few processes have them, early, so that none is left to be taken.
"""

from __future__ import annotations

import pytest

_FEW = 2  # enough that tests with a broker do not end last


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Returns the tests in an order in which each piece begins with the same number of slow ones.

    Args:
        items: the tests in the order in which they were found.
        workers: the number of pieces that pytest-xdist makes, of equal lengths, longer ones last.
    """
    few = min(_FEW, workers)
    slow, fast = _parted(items, "slow")
    slow_sharing, slow_others = _parted(slow, "few_processes")
    sharing, others = _parted(fast, "few_processes")
    shares: list[list[pytest.Item]] = [slow_sharing[number::few] for number in range(few)]
    shares += [[] for _ in range(workers - few)]
    for item in slow_others:
        min(shares, key=len).append(item)
    rest = iter(others)
    order: list[pytest.Item] = []
    for worker in range(workers):
        end = len(order) + (len(items) - len(order)) // (workers - worker)
        # The last ones have the longer pieces and get the remainder.
        number = workers - 1 - worker
        begin = len(shares[number]) * worker // workers
        order += shares[number][begin:] + shares[number][:begin]
        if number < few:
            order += sharing[number::few]
        order += [item for _, item in zip(range(end - len(order)), rest, strict=False)]
    return order


def _parted(items: list[pytest.Item], mark: str) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Returns the items with a mark, and those without it."""
    marked = [item for item in items if item.get_closest_marker(mark)]
    return marked, [item for item in items if not item.get_closest_marker(mark)]
