from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from .other_loop import pytest_collection_modifyitems

LOOP = "_asyncio_loop_factory"
LOOPS = ("asyncio", "uvloop")


class Item:
    def __init__(self, nodeid: str, *parameters: str) -> None:
        self.nodeid = nodeid
        self.marks: list[str] = []
        if parameters:
            self.callspec = SimpleNamespace(params=dict.fromkeys(parameters))

    def add_marker(self, name: str) -> None:
        self.marks.append(name)


def marked(*items: Item) -> list[str]:
    pytest_collection_modifyitems(cast("list[pytest.Item]", items))
    assert all(item.marks in ([], ["other_loop"]) for item in items)
    return [item.nodeid for item in items if item.marks]


def test_one_of_the_two_is_marked_and_as_often_either() -> None:
    tests = [f"test_a.py::test_b[{{}}-{number}]" for number in range(200)]
    items = [Item(test.format(loop), LOOP, "number") for loop in LOOPS for test in tests]

    found = marked(*items)

    assert sorted(each.replace("uvloop", "asyncio") for each in found) == sorted(
        test.format("asyncio") for test in tests
    )
    assert 60 < sum("uvloop" in each for each in found) < 140


def test_test_without_other_parameters_is_marked_once() -> None:
    assert len(marked(*(Item(f"test_a.py::test_b[{loop}]", LOOP) for loop in LOOPS))) == 1


def test_test_on_one_loop_or_none_is_not_marked() -> None:
    assert not marked(
        Item("test_a.py::test_b[uvloop-1]", LOOP, "number"),
        Item("test_a.py::test_b[asyncio-2]", LOOP, "number"),
        Item("test_a.py::test_c[asyncio]", "loop"),
        Item("test_a.py::test_c[uvloop]", "loop"),
        Item("test_a.py::test_d"),
    )
