"""Sessions that hold the most are paused when memory is short, and read again afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from wsgw_core.api import Metrics
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.relay.all_sessions import memory_watch
from wsgw_core.relay.all_sessions.closing_connections import ClosingConnections
from wsgw_core.relay.all_sessions.memory_watch import MemoryWatch, long_reads_within
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench

MIB = 1024 * 1024
READ = 256 * 1024
BOUND = 64 * MIB
pytestmark = pytest.mark.usefixtures("quick_rounds")
ROUNDS = 1.0  # seconds in which there are several rounds


class FakeSession:
    """What the watch needs of a session."""

    def __init__(self, held: int = 0) -> None:
        self.held_bytes = held
        self.lasting_bytes = 0
        self.is_in_a_message = False
        self.is_paused_for_memory = False
        self.times_held = 0

    def pause_for_memory(self, hold: bool) -> None:
        self.times_held += hold and not self.is_paused_for_memory
        self.is_paused_for_memory = hold


class Bench:
    """A watch over some sessions that hold so many bytes each."""

    def __init__(self, *held: int, bound: int | None = BOUND) -> None:
        sessions: Any = [FakeSession(each) for each in held]  # in place of their table
        self.sessions = sessions
        self.opening = 0
        self.closing = ClosingConnections()
        self.counters = GatewayCounters(Metrics())
        self.watch = MemoryWatch(
            sessions, bound, MIB, lambda: self.opening, self.closing, self.counters
        )
        self.watch.start(asyncio.get_running_loop())

    @property
    def held(self) -> list[bool]:
        return [session.is_paused_for_memory for session in self.sessions]


@on_virtual_clock
async def test_far_below_the_bound_no_session_is_paused() -> None:
    bench = Bench(*[MIB] * 30)
    assert bench.watch.used == bench.watch.paused == 0
    await asyncio.sleep(ROUNDS)
    assert not any(bench.held)
    assert bench.watch.used == 30 * MIB
    assert not bench.watch.is_full


@on_virtual_clock
async def test_near_the_bound_sessions_that_hold_the_most_are_paused() -> None:
    bench = Bench(20 * MIB, 20 * MIB, 9 * MIB, 1000, 0)
    await asyncio.sleep(ROUNDS)
    assert bench.held == [True, True, False, False, False]
    assert bench.watch.paused == 2
    assert bench.counters.memory_holds.value == 2
    assert not bench.watch.is_full


@on_virtual_clock
async def test_at_the_bound_sessions_that_hold_little_are_read_and_new_clients_refused() -> None:
    bench = Bench(30 * MIB, 33 * MIB, 3 * MIB, 1000, 0)
    await asyncio.sleep(ROUNDS)
    assert bench.held == [True, True, True, False, False]
    assert bench.watch.is_full


@on_virtual_clock
async def test_at_the_bound_many_sessions_that_hold_little_hold_at_most_a_sixteenth() -> None:
    bench = Bench(BOUND, *[100_000] * 64)
    await asyncio.sleep(ROUNDS)
    unheld = [each for each in bench.sessions if not each.is_paused_for_memory]
    assert sum(each.held_bytes for each in unheld) <= BOUND // 16


@on_virtual_clock
async def test_paused_sessions_are_read_again_below_five_eighths_and_not_before() -> None:
    bench = Bench(20 * MIB, 20 * MIB, 9 * MIB)
    await asyncio.sleep(ROUNDS)
    bench.sessions[2].held_bytes = 2 * MIB  # between five eighths and three quarters
    await asyncio.sleep(ROUNDS)
    assert bench.held == [True, True, False]
    bench.sessions[2].held_bytes = 0  # exactly five eighths
    bench.sessions[1].held_bytes -= 1
    await asyncio.sleep(ROUNDS)
    assert not any(bench.held)
    assert [session.times_held for session in bench.sessions] == [1, 1, 0]


@pytest.mark.parametrize(
    ("held", "paused"),
    [(100, False), (5 * MIB, True)],  # the level is then 6 MiB
    ids=["nothing", "more than half of the level"],
)
@on_virtual_clock
async def test_a_session_that_holds_little_again_is_read_while_others_are_paused(
    held: int, *, paused: bool
) -> None:
    bench = Bench(20 * MIB, 20 * MIB, 20 * MIB)
    await asyncio.sleep(ROUNDS)
    assert all(bench.held)
    bench.sessions[0].held_bytes = held
    bench.sessions[1].held_bytes = 30 * MIB
    await asyncio.sleep(ROUNDS)
    assert bench.held == [paused, True, True]


@on_virtual_clock
async def test_a_session_that_holds_exactly_the_level_is_read() -> None:
    bench = Bench(32 * MIB, 16 * MIB)  # three quarters; at 16 MiB each they would fill half
    await asyncio.sleep(ROUNDS)
    assert bench.held == [True, False]


@on_virtual_clock
async def test_handshakes_and_headers_count() -> None:
    bench = Bench(0, 0)
    bench.opening = BOUND
    assert bench.watch.is_full
    bench.opening = BOUND - 2000
    bench.sessions[0].lasting_bytes = 2000
    await asyncio.sleep(ROUNDS)
    assert bench.watch.used == 2000
    assert bench.watch.is_full
    assert not any(bench.held)


@on_virtual_clock
async def test_handshakes_leave_less_memory_to_sessions() -> None:
    bench = Bench(20 * MIB, 1000)
    bench.opening = BOUND * 3 // 4
    await asyncio.sleep(ROUNDS)
    assert bench.held == [True, False]


@on_virtual_clock
async def test_connections_of_ended_sessions_count_until_they_are_gone() -> None:
    bench = Bench()
    left: Any = FakeSession(2000)
    lost: Any = FakeSession(3000)
    bench.closing.add(left)
    bench.closing.add(lost)
    del lost
    await asyncio.sleep(ROUNDS)
    assert bench.watch.used == 2000
    left.held_bytes = 0
    await asyncio.sleep(ROUNDS)
    assert bench.watch.used == 0
    left.held_bytes = 2000  # it was forgotten
    await asyncio.sleep(ROUNDS)
    assert bench.watch.used == 0


@on_virtual_clock
async def test_sessions_with_an_incomplete_message_are_read_one_after_the_other() -> None:
    """If all stayed paused, no message could be completed, and no memory be freed."""
    bench = Bench(*[MIB - 1000] * 64)
    for session in bench.sessions:
        session.is_in_a_message = True
    unfinished = list(bench.sessions)
    for _ in range(20_000):
        await asyncio.sleep(0.05)
        read = [session for session in unfinished if not session.is_paused_for_memory]
        if bench.watch.paused and bench.watch.used > BOUND * 3 // 4:
            assert len(read) <= 8  # a sixteenth of the bound, and those that have their turn next
        for session in read[:1]:
            session.held_bytes, session.is_in_a_message = 0, False
            unfinished.remove(session)
        if not unfinished:
            break
    assert not unfinished


@pytest.mark.parametrize("mib", [64, 8])
@on_virtual_clock
async def test_sessions_that_have_their_turn_could_hold_a_sixteenth_of_the_bound(mib: int) -> None:
    bench = Bench(*[MIB] * mib, bound=mib * MIB)
    for session in bench.sessions:
        session.is_in_a_message = True
    await asyncio.sleep(ROUNDS / 2)
    assert bench.held.count(False) == max(1, mib // 16)  # one in any case


@on_virtual_clock
async def test_a_client_that_does_not_finish_its_message_loses_its_turn() -> None:
    bench = Bench(*[2 * MIB] * 32)
    for session in bench.sessions:
        session.is_in_a_message = True
    had_a_turn = set()
    for _ in range(20_000):
        await asyncio.sleep(0.05)
        had_a_turn |= {number for number, held in enumerate(bench.held) if not held}
        if len(had_a_turn) == 32:
            break
    assert len(had_a_turn) == 32


@on_virtual_clock
async def test_a_turn_ends_when_the_session_holds_little_again() -> None:
    bench = Bench(*[MIB] * 64)
    for session in bench.sessions:
        session.is_in_a_message = True
    await asyncio.sleep(0.05)
    assert bench.held.count(False) == BOUND // 16 // MIB
    finished = 0
    for _ in range(90):  # all within a second, which one turn may take
        await asyncio.sleep(0.01)
        for session in bench.sessions:
            if not session.is_paused_for_memory and session.held_bytes:
                session.held_bytes = 0
                finished += 1
    assert finished > 2 * BOUND // 16 // MIB


@on_virtual_clock
async def test_reading_is_resumed_for_as_many_sessions_at_once_as_have_room() -> None:
    bench = Bench(*[READ] * 256)
    await asyncio.sleep(ROUNDS)
    assert all(bench.held)
    for session in bench.sessions:
        session.held_bytes = BOUND * 9 // 16 // 256  # less than five eighths of the bound
    most, reading = 0, 0
    async with asyncio.timeout(60):
        while reading < 256:
            await asyncio.sleep(0.001)  # one round at most
            before, reading = reading, bench.held.count(False)
            most = max(most, reading - before)
    room = BOUND * 3 // 4 - BOUND * 9 // 16
    assert 0 < most <= 2 * room // READ  # chance decides which ones, and how many
    assert bench.counters.memory_holds.value == 256


@on_virtual_clock
async def test_a_round_that_other_processes_have_delayed_does_not_delay_the_next_one() -> None:
    bench = Bench(0)

    class Delayed(FakeSession):
        @property
        def held_bytes(self) -> int:
            time.sleep(0.05)  # the machine does something else
            return BOUND

        @held_bytes.setter
        def held_bytes(self, value: int) -> None:
            pass

    bench.sessions[:] = [Delayed()]
    await asyncio.sleep(0.1)
    assert bench.watch.used == BOUND
    bench.sessions[:] = [FakeSession(1000)]
    await asyncio.sleep(0.1)
    assert bench.watch.used == 1000


@pytest.mark.parametrize("grows", [False, True])
@on_virtual_clock
async def test_a_process_that_has_grown_is_measured_again_soon(
    monkeypatch: pytest.MonkeyPatch, *, grows: bool
) -> None:
    resident = rounds = 0
    monkeypatch.setattr(memory_watch, "resident_memory", lambda: resident)
    monkeypatch.setattr(memory_watch, "thread_time", lambda: rounds * 0.02)

    class Costly(FakeSession):
        @property
        def held_bytes(self) -> int:
            nonlocal rounds
            rounds += 1
            return 0

        @held_bytes.setter
        def held_bytes(self, value: int) -> None:
            pass

    bench = Bench()
    bench.sessions[:] = [Costly()]
    await asyncio.sleep(0.05)
    assert rounds == 1
    resident = BOUND if grows else 0
    await asyncio.sleep(1)
    assert rounds == (2 if grows else 1)


def test_fewer_long_reads_fit_into_a_small_bound() -> None:
    bounds = [None, 1024 * MIB, 128 * MIB, 64 * MIB, MIB]
    assert [long_reads_within(bound) for bound in bounds] == [16, 16, 16, 8, 1]


@on_virtual_clock
async def test_a_bound_of_a_byte_is_watched_like_any_other() -> None:
    bench = Bench(1, 0, bound=1)
    await asyncio.sleep(ROUNDS)
    assert (bench.watch.used, bench.held, bench.watch.is_full) == (1, [True, False], True)
    bench.sessions[0].held_bytes = 0
    await asyncio.sleep(ROUNDS)
    assert (bench.watch.used, bench.held, bench.watch.is_full) == (0, [False, False], False)


@pytest.mark.parametrize(
    "end",
    [RelayBench.leave, lambda bench: bench.session.close_client(1001)],
    ids=["left", "closed"],
)
@on_virtual_clock
async def test_a_client_that_has_left_or_is_being_closed_does_not_count_as_paused(
    end: Callable[[RelayBench], object],
) -> None:
    bench = await RelayBench(FakeBackend("blue", acknowledge=False)).open()
    watch = MemoryWatch(bench.table, 10_000, 1000, lambda: 0, bench.table.closing, bench.counters)
    bench.say("x" * 9000)
    end(bench)
    watch.start(asyncio.get_running_loop())
    await asyncio.sleep(ROUNDS)
    assert (watch.used >= 9000, watch.paused, bench.counters.memory_holds.value) == (True, 0, 0)


@on_virtual_clock
async def test_without_a_bound_nothing_is_watched() -> None:
    bench = Bench(MIB, bound=None)
    loop: Any = asyncio.get_running_loop()
    assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # noqa: SLF001 - nothing else tells
    assert not bench.watch.is_full


@on_virtual_clock
async def test_no_timer_is_left_when_it_stops() -> None:
    bench = Bench(MIB)
    await asyncio.sleep(ROUNDS)
    bench.watch.stop()
    loop: Any = asyncio.get_running_loop()
    assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # noqa: SLF001 - nothing else tells


@pytest.mark.parametrize("used", [0.0, 0.8], ids=["much room", "little room"])
@on_virtual_clock
async def test_one_turn_of_the_loop_visits_only_a_few_of_many_sessions(
    monkeypatch: pytest.MonkeyPatch, used: float
) -> None:
    count, seen, most, in_this_turn = 10_000, 0, 0, 0
    monkeypatch.setattr(memory_watch, "thread_time", lambda: seen * 5e-6)

    def end_turn() -> None:
        nonlocal most, in_this_turn
        most, in_this_turn = max(most, in_this_turn), 0

    class Counted(FakeSession):
        @property
        def held_bytes(self) -> int:
            nonlocal seen, in_this_turn
            seen += 1
            if not in_this_turn:
                asyncio.get_running_loop().call_soon(end_turn)
            in_this_turn += 1
            return 0

        @held_bytes.setter
        def held_bytes(self, value: int) -> None:
            pass

    bound = 1024 * BOUND  # so large that the growth of the process is not urgent
    bench = Bench(bound=bound)
    bench.opening = int(used * bound)
    bench.sessions[:] = [Counted() for _ in range(count)]
    await asyncio.sleep(ROUNDS)
    assert seen >= count
    assert 0 < most < count / 2
