"""Containers are found anywhere in an object, and named by their paths."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakSet

from wsgw_core.testing.container_sizes import container_sizes


class Slotted:
    __slots__ = ("__hidden", "items")

    def __init__(self) -> None:
        self.items = {1, 2}
        self.__hidden = [1]


class Table:
    def __init__(self) -> None:
        self.rows: dict[str, object] = {"a": deque([1, 2, 3]), "b": deque([1])}
        self.slotted = Slotted()
        self.itself = self
        self.queue = asyncio.Queue[int]()
        self.alive = WeakSet([self.queue])


def test_each_container_is_counted_under_its_path() -> None:
    sizes = container_sizes(Table())
    assert {path: size for path, size in sizes.items() if size} == {
        "Table.rows": 2,
        "Table.rows[]": 4,
        "Table.slotted.items": 2,
        "Table.slotted.__hidden": 1,
    }


def test_containers_of_excluded_objects_are_not_counted() -> None:
    table = Table()
    owner = Table()
    owner.rows = {"elsewhere": table.rows, "root": table}
    assert "Table.rows" not in container_sizes(table, without=(owner,))
    assert "Table.slotted.items" in container_sizes(table, without=(owner,))


def test_the_items_of_a_queue_are_counted() -> None:
    table = Table()
    table.queue.put_nowait(1)
    assert container_sizes(table)["Table.queue._queue"] == 1
