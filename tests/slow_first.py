"""Gives each process of a run its share of slow tests first, so that all processes end together.

pytest-xdist gives each process one piece of the list of tests, and a process that has finished its
piece takes half of another's. Slow tests are next to each other and mostly wait: without this
module, one process has them all, and the others can only help when nothing else is left. Neighbours
are also alike, such as tests that each start a broker, so no two processes begin with neighbours.

Of the other tests, those of a small module tend to take longer than those of a large one: they come
first, and the shortest are left to be taken in the end.

Tests marked `few_processes` share what is slow to start, which each process with such a test has to
start. Few processes have them, early, so that none is left to be taken.
"""

from __future__ import annotations

from itertools import groupby

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
    pieces: list[list[pytest.Item]] = []
    for worker in range(workers):
        # The last ones have the longer pieces and get the remainder.
        number = workers - 1 - worker
        begin = len(shares[number]) * worker // workers
        pieces.append(shares[number][begin:] + shares[number][:begin])
        if number < few:
            pieces[worker] += sharing[number::few]
    rooms: list[int] = []
    end = placed = 0
    for worker, piece in enumerate(pieces):
        end += (len(items) - end) // (workers - worker)
        room = min(max(end - placed - len(piece), 0), len(others) - sum(rooms))
        rooms.append(room)
        placed += len(piece) + room
    spread = _spread(others, rooms)
    return [item for pair in zip(pieces, spread, strict=True) for part in pair for item in part]


def _spread(items: list[pytest.Item], rooms: list[int]) -> list[list[pytest.Item]]:
    """Returns so many items for each process: whole modules where possible, small ones first."""
    grouped = groupby(items, lambda item: item.nodeid.partition("::")[0])
    modules = [list(module) for _, module in grouped]
    shares: list[list[pytest.Item]] = [[] for _ in rooms]
    for module in sorted(modules, key=len):
        left = [room - len(share) for room, share in zip(rooms, shares, strict=True)]
        shares[left.index(max(left))] += module
    surplus = [item for room, share in zip(rooms, shares, strict=True) for item in share[room:]]
    for room, share in zip(rooms, shares, strict=True):
        share += [surplus.pop() for _ in range(room - len(share))]
        del share[room:]
    return shares


def _parted(items: list[pytest.Item], mark: str) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Returns the items with a mark, and those without it."""
    marked = [item for item in items if item.get_closest_marker(mark)]
    return marked, [item for item in items if not item.get_closest_marker(mark)]
