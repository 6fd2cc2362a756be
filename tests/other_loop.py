"""Marks one of the two items of each test that runs on both event loops as `other_loop`.

`make test` leaves these out: it runs each test on one loop, half of them on either, and takes
about a seventh less time. `make test-all` runs them, too.
"""

from __future__ import annotations

from collections import defaultdict
from zlib import crc32

import pytest
from pytest_asyncio.plugin import _asyncio_loop_factory  # the parameter that it adds to a test

_NAMES = ("asyncio", "uvloop")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the items."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if _asyncio_loop_factory.__name__ in getattr(getattr(item, "callspec", None), "params", ()):
            tests[_without_loop(item.nodeid)].append(item)
    for name, both in tests.items():
        if len(both) == len(_NAMES):
            both[crc32(name.encode()) % len(_NAMES)].add_marker("other_loop")


def _without_loop(nodeid: str) -> str:
    test, _, parameters = nodeid.partition("[")
    return f"{test}[{'-'.join(each for each in parameters[:-1].split('-') if each not in _NAMES)}"
