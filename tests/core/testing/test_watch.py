from __future__ import annotations

import asyncio

import pytest

from wsgw_core.testing.virtual_clock import on_virtual_clock
from wsgw_core.testing.watch import Watch


@on_virtual_clock
async def test_a_condition_that_is_true_needs_no_event() -> None:
    await Watch(1).until(lambda: True, lambda: "nothing")
    assert asyncio.get_running_loop().time() == 0


@on_virtual_clock
async def test_waiters_wake_when_their_condition_comes_true() -> None:
    watch, seen = Watch(10), list[int]()
    first = asyncio.create_task(watch.until(lambda: len(seen) >= 1, lambda: "one"))
    second = asyncio.create_task(watch.until(lambda: len(seen) >= 2, lambda: "two"))
    await asyncio.sleep(1)
    seen.append(1)
    watch.changed()
    await first
    assert not second.done()
    seen.append(2)
    watch.changed()
    await second
    assert asyncio.get_running_loop().time() == 1


@on_virtual_clock
async def test_a_timeout_has_a_description_of_the_moment() -> None:
    state = "early"
    loop = asyncio.get_running_loop()

    def change() -> None:
        nonlocal state
        state = "late"

    loop.call_later(1, change)
    with pytest.raises(AssertionError, match=r"waited 5 s for a miracle, now late"):
        await Watch(5).until(lambda: False, lambda: f"a miracle, now {state}")
