"""Watchers of backends are told what has changed, a few in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

Watcher = Callable[[PooledBackend], None]


class Watched:
    """Two backends of one group and one of another, and watchers of the first group."""

    def __init__(self, count: int) -> None:
        self.red, self.blue = (PooledBackend(name, FakeBackend(name)) for name in ("red", "blue"))
        self.other = PooledBackend("other", FakeBackend("other"), group="b")
        self.pool = BackendPool([self.red, self.blue, self.other])
        self.told: list[tuple[int, str]] = []
        self.watchers: list[Watcher] = []
        for number in range(count):
            self.watchers.append(partial(self.note, number))
            self.pool.watch(self.watchers[-1], "")

    def note(self, number: int, backend: PooledBackend) -> None:
        self.told.append((number, backend.id))


@on_virtual_clock
async def test_few_watchers_are_told_at_once() -> None:
    watched = Watched(AT_ONCE)
    watched.red.enabled = False
    assert watched.told == [(number, "red") for number in range(AT_ONCE)]


@on_virtual_clock
async def test_many_watchers_are_told_a_few_in_each_turn() -> None:
    watched = Watched(3 * AT_ONCE)
    watched.red.enabled = False
    for turn in range(1, 4):
        assert len(watched.told) == turn * AT_ONCE
        await asyncio.sleep(0)  # one turn of the loop
    assert watched.told == [(number, "red") for number in range(3 * AT_ONCE)]


@on_virtual_clock
async def test_what_changes_meanwhile_is_told_once_and_to_all() -> None:
    watched = Watched(2 * AT_ONCE)
    watched.red.enabled = False
    for _ in range(5):  # as a backend does that fails every other dial
        watched.red.enabled = not watched.red.enabled
    watched.blue.enabled = False
    await idle()
    numbers = range(2 * AT_ONCE)
    first_round = [(number, "red") for number in numbers]
    second_round = [(number, name) for number in numbers for name in ("red", "blue")]
    assert watched.told == first_round + second_round


@on_virtual_clock
async def test_a_watcher_that_leaves_before_its_turn_is_not_told() -> None:
    watched = Watched(AT_ONCE + 2)
    watched.red.enabled = False
    watched.pool.unwatch(watched.watchers[-1], "")
    await idle()
    assert watched.told[AT_ONCE:] == [(AT_ONCE, "red")]


@on_virtual_clock
async def test_when_all_leave_and_one_comes_back_it_is_told_what_changes_next() -> None:
    watched = Watched(AT_ONCE + 2)
    watched.red.enabled = False
    for watcher in watched.watchers:
        watched.pool.unwatch(watcher, "")
    watched.told.clear()
    watched.pool.watch(watched.watchers[0], "")
    watched.red.enabled = True
    await idle()
    assert watched.told == [(0, "red")]


@on_virtual_clock
async def test_only_watchers_of_the_group_and_of_all_groups_are_told() -> None:
    watched = Watched(1)
    seen: list[str] = []
    watched.pool.watch(lambda backend: seen.append(backend.id))
    watched.other.enabled = False
    assert watched.told == []
    watched.red.enabled = False
    assert watched.told == [(0, "red")]
    assert seen == ["other", "red"]


@on_virtual_clock
async def test_a_watcher_that_raises_does_not_keep_the_others_from_the_news() -> None:
    watched = Watched(AT_ONCE)

    def fail(_backend: PooledBackend) -> None:
        raise ValueError("a fault")

    watched.pool.watch(fail, "")
    late = partial(watched.note, -1)
    watched.pool.watch(late, "")
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    watched.red.enabled = False
    await idle()
    assert watched.told[-1] == (-1, "red")
    assert len(faults) == 1
    watched.red.enabled = True
    await idle()
    assert watched.told.count((-1, "red")) == 2
