"""Many calls at the same moment are spread over turns of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from wsgw_core.spread_calls import AT_ONCE, SpreadCalls
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock


async def turns_of(made: list[int]) -> list[int]:
    """Return how many calls were made in each turn of the loop, until all are made."""
    counts, before = [len(made)], len(made)
    for _ in range(1000):
        await asyncio.sleep(0)  # one turn of the loop
        if len(made) == before:
            break
        counts.append(len(made) - before)
        before = len(made)
    return counts


@on_virtual_clock
async def test_few_calls_are_made_at_once() -> None:
    spread, made = SpreadCalls(), list[int]()
    assert all(spread.call(made.append, number) for number in range(AT_ONCE))
    assert made == list(range(AT_ONCE))


@on_virtual_clock
async def test_many_calls_are_made_a_few_in_each_turn_and_in_order() -> None:
    spread, made = SpreadCalls(10), list[int]()
    were_made = [spread.call(made.append, number) for number in range(95)]
    assert were_made == [True] * 10 + [False] * 85
    counts = await turns_of(made)
    assert counts == [10] * 9 + [5]
    assert made == list(range(95))


@on_virtual_clock
async def test_a_call_that_comes_while_others_wait_is_made_after_them() -> None:
    spread, made = SpreadCalls(2), list[int]()
    for number in range(5):
        spread.call(made.append, number)
    await asyncio.sleep(0)
    assert not spread.call(made.append, 5)
    await turns_of(made)
    assert made == list(range(6))


@on_virtual_clock
async def test_calls_that_calls_make_keep_the_order_and_the_limit() -> None:
    spread, made = SpreadCalls(2), list[int]()

    def make(number: int) -> None:
        made.append(number)
        if number < 10:
            spread.call(make, number + 10)

    for number in range(5):
        spread.call(make, number)
    assert made == [0, 10]
    counts = await turns_of(made)
    assert max(counts) == 2
    assert sorted(made) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert [each for each in made if each < 10] == [0, 1, 2, 3, 4]


@on_virtual_clock
async def test_in_the_next_turn_calls_are_made_at_once_again() -> None:
    spread, made = SpreadCalls(1), list[int]()
    for number in range(3):
        assert spread.call(made.append, number)
        await idle()


@on_virtual_clock
async def test_a_call_that_raises_does_not_keep_the_others() -> None:
    spread, made, faults = SpreadCalls(2), list[int](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    spread.call(made.append, 0)
    spread.call(made.append, 1)
    spread.call(int, "no number")
    spread.call(made.append, 2)
    await idle()
    assert made == [0, 1, 2]
    assert [type(fault["exception"]) for fault in faults] == [ValueError]
