"""A backend that is not dialled keeps its turn."""

from __future__ import annotations

import asyncio
from itertools import groupby

from wsgw_core.pool.backends.turn import Turn
from wsgw_core.testing.fakes import Unavailable
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..dial_bench import Bench, now, set_


def next_turn(bench: Bench) -> Turn:
    turn = bench.group.choose(now())
    assert turn is not None
    return turn


def next_ids(bench: Bench, count: int) -> list[str]:
    return [next_turn(bench).backend.id for _ in range(count)]


@on_virtual_clock
async def test_giving_a_turn_back_undoes_it() -> None:
    bench = Bench("a", "b", "c")
    next_turn(bench).give_back()
    assert next_ids(bench, 4) == ["a", "b", "c", "a"]
    turn = next_turn(bench)
    turn.give_back()
    turn.give_back()
    assert next_ids(bench, 3) == ["b", "c", "a"]


@on_virtual_clock
async def test_a_backend_passed_over_by_many_at_once_gets_no_run_of_clients() -> None:
    bench = Bench("a", "b", "c")
    for turn in [next_turn(bench) for _ in range(300)]:
        if turn.backend.id == "a":
            turn.give_back()
    longest = max(len(list(run)) for _, run in groupby(next_ids(bench, 30)))
    assert longest <= 3


@on_virtual_clock
async def test_a_backend_disabled_before_its_dial_keeps_its_turn() -> None:
    bench = Bench("a", "b", "c")
    dials = [asyncio.create_task(bench.dial()) for _ in range(7)]
    await asyncio.sleep(0)  # they have chosen, and begin in the next turn of the loop
    assert bench.pooled[0].dialling == 3
    set_(bench.pooled[0], enabled=False)
    served = [dialled.backend.id for dialled in await asyncio.gather(*dials)]
    assert "a" not in served
    set_(bench.pooled[0], enabled=True)
    assert (await bench.dial()).backend.id == "a"


@on_virtual_clock
async def test_a_failed_dial_costs_a_turn() -> None:
    bench = Bench("a", "b", "c")
    bench.backends[0].otherwise = Unavailable()
    assert (await bench.dial()).backend.id == "b"
    assert next_ids(bench, 1) == ["c"]


@on_virtual_clock
async def test_a_silent_backend_delays_only_the_clients_of_its_turns() -> None:
    bench = Bench("a", "b")
    hanging = await bench.hang(3)  # as many as dial at once
    waited = 0
    for _ in range(10):
        begun = now()
        assert (await bench.dial(hedge_after=1)).backend.id == "b"
        waited += now() - begun >= 1
    assert waited == 5
    for each in hanging:
        each.cancel()
