"""What valves keep for their sessions counts towards `limits.memory`."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from wsgw_core.api import Close, HoldingValve, MessageValve, Session
from wsgw_core.relay.all_sessions.memory_watch import MemoryWatch
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve

pytestmark = pytest.mark.usefixtures("quick_rounds")

BOUND = 10_000
ROUNDS = 1.0  # seconds in which there are several rounds


class Keeping(PassingValve):
    """Keeps as many bytes as the test says."""

    def __init__(self, view: Session, kept: int) -> None:
        super().__init__(view)
        self.lasting_bytes = kept
        self.held_bytes = self.held_from_backend = 0


class Shelf:
    """Makes valves, and has them for the test."""

    def __init__(self) -> None:
        self.valves: list[Keeping] = []

    def __call__(self, view: Session) -> MessageValve:
        made = Keeping(view, 3000)
        self.valves.append(made)
        return made


class Faulty(PassingValve):
    @property
    def lasting_bytes(self) -> int:
        raise ValueError("negative")


class Vague(PassingValve):
    lasting_bytes = None


def watched(bench: RelayBench) -> MemoryWatch:
    watch = MemoryWatch(bench.table, BOUND, 1000, lambda: 0, bench.table.closing, bench.counters)
    watch.start(asyncio.get_running_loop())
    return watch


@on_virtual_clock
async def test_what_valves_keep_counts_until_they_forget_it() -> None:
    shelf = Shelf()
    bench = await RelayBench(valves=(valve(shelf), valve(PassingValve), valve(shelf))).open()
    watch = watched(bench)
    before, after = shelf.valves
    await asyncio.sleep(ROUNDS)
    assert (watch.used, watch.is_full) == (6000, False)
    after.lasting_bytes = 7000
    await asyncio.sleep(ROUNDS)
    assert (watch.used, watch.is_full) == (BOUND, True)
    before.lasting_bytes = after.lasting_bytes = 0
    await asyncio.sleep(ROUNDS)
    assert (watch.used, watch.is_full) == (0, False)


@on_virtual_clock
async def test_what_valves_have_kept_does_not_count_after_the_session() -> None:
    bench = await RelayBench(valves=(valve(Shelf()),)).open()
    watch = watched(bench)
    await asyncio.sleep(ROUNDS)
    assert watch.used == 3000
    bench.session.close(1000)
    await asyncio.sleep(ROUNDS)
    assert watch.used == 0


@on_virtual_clock
async def test_clients_with_an_incomplete_packet_are_paused_in_turns() -> None:
    shelf = Shelf()
    bench = await RelayBench(valves=(valve(shelf),)).open()
    watch = watched(bench)
    [keeping] = shelf.valves
    keeping.held_bytes = 6000
    assert bench.session.is_in_a_message
    seen = set()
    for _ in range(200):
        await asyncio.sleep(0.02)
        seen.add(bench.session.is_paused_for_memory)
    assert watch.used == 9000
    assert seen == {True, False}
    assert bench.counters.memory_holds.value > 1  # it was read in between
    keeping.held_bytes = 0
    await asyncio.sleep(ROUNDS)
    assert watch.used == 3000
    assert not bench.session.is_paused_for_memory
    assert not bench.session.is_in_a_message


class Fractional(PassingValve):
    held_bytes = 1.5


class Negative(PassingValve):
    held_bytes = -1


@on_virtual_clock
async def test_backends_with_an_incomplete_packet_are_paused_in_turns() -> None:
    shelf = Shelf()
    bench = await RelayBench(valves=(valve(shelf),)).open()
    watched(bench)
    [keeping] = shelf.valves
    connection = bench.blue.connections[0]
    keeping.held_bytes = 6000  # of the client's packet
    seen = set()
    for _ in range(200):
        await asyncio.sleep(0.02)
        seen.add((bench.is_reading(), connection.paused))
    assert seen == {(True, False), (False, False)}
    keeping.held_from_backend = 6000
    seen.clear()
    await asyncio.sleep(ROUNDS)
    for _ in range(200):
        await asyncio.sleep(0.02)
        seen.add((bench.is_reading(), connection.paused))
    assert seen == {(True, False), (False, True)}
    keeping.held_bytes = keeping.held_from_backend = 0
    await asyncio.sleep(ROUNDS)
    assert (bench.is_reading(), connection.paused) == (True, False)


@pytest.mark.parametrize("guilty", [Faulty, Vague, Fractional, Negative])
@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_a_wrong_number_is_a_fault_of_the_valve_and_the_watch_goes_on(
    guilty: Any, on_error: Literal["close", "discard"]
) -> None:
    valves = (valve(guilty, on_error), valve(Shelf()))
    bench = await RelayBench(valves=valves).open()
    assert bench.session.held_bytes + bench.session.lasting_bytes == 3000
    assert bench.counters.valve_errors.value == 1
    await idle()
    assert bench.client.closed == (Close(1011, "internal error") if on_error == "close" else None)
    watch = watched(bench)
    await asyncio.sleep(ROUNDS)
    assert watch.used == (0 if on_error == "close" else 3000)


def _is_holding_valve(keeping: Keeping) -> HoldingValve:
    return keeping  # checked by the type checker
