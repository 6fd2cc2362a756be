"""Admin calls leave time for sessions in each turn of the event loop."""

from __future__ import annotations

import asyncio

from wsgw_core.admin.call_turns import CallTurns

TIMEOUT = 60.0


async def test_one_call_proceeds_in_each_turn_in_order_of_arrival() -> None:
    turns, loop, now = CallTurns(), asyncio.get_running_loop(), 0
    went_on: list[tuple[int, int]] = []

    def count() -> None:
        nonlocal now
        now += 1
        loop.call_soon(count)

    async def call(number: int) -> None:
        await turns.wait()
        went_on.append((number, now))

    count()
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*map(call, range(20)))
    assert [number for number, _ in went_on] == [*range(20)]
    assert len({turn for _, turn in went_on}) == 20


async def test_single_call_does_not_wait() -> None:
    turns = CallTurns()
    for _ in range(3):
        waiting = asyncio.ensure_future(turns.wait())
        await asyncio.sleep(0)
        assert waiting.done()
        await asyncio.sleep(0)


async def test_cancelled_call_takes_no_turn() -> None:
    turns = CallTurns()
    await turns.wait()
    first, second = (asyncio.ensure_future(turns.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, TIMEOUT)
