"""Gives each process of a run its share of slow tests first, so that all processes end together.

pytest-xdist gives each process one piece of the list of tests, and a process that has finished its
piece takes half of another's. Slow tests are next to each other and mostly wait: without this
module, one process has them all, and the others can only help when nothing else is left. Neighbours
are also alike, such as tests that each start a broker, so no two processes begin with neighbours.
"""

from __future__ import annotations

import pytest


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Returns the tests in an order in which each piece begins with the same number of slow ones.

    Args:
        items: the tests in the order in which they were found.
        workers: the number of pieces that pytest-xdist makes, of equal lengths, longer ones last.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    fast = iter([item for item in items if not item.get_closest_marker("slow")])
    order: list[pytest.Item] = []
    for worker in range(workers):
        end = len(order) + (len(items) - len(order)) // (workers - worker)
        # The last ones have the longer pieces and get the remainder.
        share = slow[workers - 1 - worker :: workers]
        begin = len(share) * worker // workers
        order += share[begin:] + share[:begin]
        order += [item for _, item in zip(range(end - len(order)), fast, strict=False)]
    return order
