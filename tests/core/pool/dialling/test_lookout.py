"""Sessions that wait while all backends of their group are away."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.dialling.lookout import Lookout
from wsgw_core.pool.policy.backend_group import BackendGroup
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..dial_bench import now

EVERY = 2.0
LONG = 1000.0


class Waiting:
    """Sessions that wait for a backend that is away; each notes when it is released."""

    def __init__(self, count: int) -> None:
        self.backend = PooledBackend("a", FakeBackend("a"))
        self.backend.absence.begin()
        self.pool = BackendPool([self.backend])
        self.lookout = Lookout(BackendGroup(self.pool), EVERY)
        self.released: list[tuple[int, float]] = []
        self.tasks = [asyncio.create_task(self._wait(number)) for number in range(count)]

    async def _wait(self, number: int) -> None:
        assert await self.lookout.wait(LONG)
        self.released.append((number, now()))


@on_virtual_clock
async def test_one_session_after_the_other_is_released_as_a_scout() -> None:
    waiting = Waiting(40)
    await asyncio.wait(waiting.tasks)
    assert [number for number, _ in waiting.released] == list(range(40))
    times = [0.0, *(time for _, time in waiting.released)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) >= 0.75 * EVERY
    assert max(pauses) <= 1.25 * EVERY
    assert max(pauses) - min(pauses) > 0.1  # so that many gateways do not dial at the same time


@on_virtual_clock
async def test_all_are_released_when_the_backend_is_back() -> None:
    waiting = Waiting(10)
    await idle()
    waiting.backend.answered(now())
    await idle()
    assert [number for number, _ in waiting.released] == list(range(10))
    assert now() == pytest.approx(0, abs=0.1)
    assert not await waiting.lookout.wait(LONG)


@on_virtual_clock
async def test_a_session_waits_no_longer_than_it_may() -> None:
    waiting = Waiting(0)
    assert await waiting.lookout.wait(EVERY / 4)
    assert now() == pytest.approx(EVERY / 4)


@on_virtual_clock
async def test_many_are_released_a_few_in_each_turn_of_the_loop() -> None:
    waiting = Waiting(5 * AT_ONCE)
    await idle()
    waiting.backend.answered(now())
    released = [0]
    while released[-1] < 5 * AT_ONCE:
        await asyncio.sleep(0)  # one turn of the loop
        released.append(len(waiting.released))
        assert released[-1] - released[-2] <= AT_ONCE
    assert [number for number, _ in waiting.released] == list(range(5 * AT_ONCE))
    assert now() == pytest.approx(0, abs=0.1)


@on_virtual_clock
async def test_a_session_that_ends_before_its_release_does_not_disturb_the_others() -> None:
    waiting = Waiting(3 * AT_ONCE)
    await idle()
    waiting.backend.answered(now())
    waiting.tasks[-1].cancel()
    await asyncio.wait(waiting.tasks)
    assert [number for number, _ in waiting.released] == list(range(3 * AT_ONCE - 1))


@on_virtual_clock
async def test_sessions_that_wait_in_a_later_absence_are_released_at_once_too() -> None:
    waiting = Waiting(2)
    await idle()
    waiting.backend.answered(now())
    await asyncio.wait(waiting.tasks)
    waiting.backend.absence.begin()
    later = asyncio.create_task(waiting.lookout.wait(LONG))
    await idle()
    waiting.backend.answered(now())
    assert await later
    assert now() == pytest.approx(0, abs=0.1)
