"""Ways that one gateway is drilled in, one after the other: starting it takes as long as a way."""

from __future__ import annotations

from collections.abc import Collection

_MOST = 3  # a test of more would take long enough on a busy machine to seem to hang


def few_at_a_time(names: Collection[str], alone: Collection[str] = ()) -> list[tuple[str, ...]]:
    """Return the names in groups; neighbours, which are often alike, in different ones.

    Args:
        names: of ways.
        alone: those of them whose gateway has settings of its own.
    """
    others = [name for name in names if name not in alone]
    count = -(-len(others) // _MOST)
    return [tuple(others[number::count]) for number in range(count)] + [(name,) for name in alone]
