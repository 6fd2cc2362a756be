"""Groups of ways that run one after the other on one gateway, as a start takes as long as one."""

from __future__ import annotations

from collections.abc import Collection

_MOST = 3  # more in one test take so long on a busy machine that the test seems to hang


def few_at_a_time(names: Collection[str], alone: Collection[str] = ()) -> list[tuple[str, ...]]:
    """Returns the names in groups; neighbours, which are often alike, are in different groups.

    Args:
        names: names of ways.
        alone: names of ways whose gateway has its own settings.
    """
    others = [name for name in names if name not in alone]
    count = -(-len(others) // _MOST)
    return [tuple(others[number::count]) for number in range(count)] + [(name,) for name in alone]
