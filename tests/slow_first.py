"""Each process of a run begins with its share of the slow tests, so that all end together.

pytest-xdist gives each process one piece of the list of tests, and a process that has finished its
piece takes half of another's. Slow tests are next to each other and mostly wait: without this
module, one process has them all, and the others can only help when nothing else is left. Neighbours
are also alike, such as tests that each start a broker, so no two processes begin with neighbours.
"""

from __future__ import annotations

import pytest


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests in such an order that each piece begins with as many slow ones.

    Args:
        items: the tests in the order in which they were found.
        workers: the number of pieces that pytest-xdist makes, of equal lengths, longer ones last.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    fast = iter([item for item in items if not item.get_closest_marker("slow")])
    order: list[pytest.Item] = []
    for worker in range(workers):
        end = len(order) + (len(items) - len(order)) // (workers - worker)
        # The last ones have the longer pieces: they get what cannot be shared equally.
        share = slow[workers - 1 - worker :: workers]
        begin = len(share) * worker // workers
        order += share[begin:] + share[:begin]
        order += [item for _, item in zip(range(end - len(order)), fast, strict=False)]
    return order
