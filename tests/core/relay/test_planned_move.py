"""A session leaves its backend in such a way that nobody misses anything."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session_state import State
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from .relay_bench import RelayBench, replayed

DRAIN = DrainOptions(quiet=1, patience=10)
MOVED = Close(1001, "moved to another backend")


def bench_of(*, answer_close: bool = True) -> RelayBench:
    return RelayBench(
        FakeBackend("blue", answer_close=answer_close), FakeBackend("green"), drain=DRAIN
    )


def now() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_clock
async def test_a_session_with_nothing_under_way_moves_when_it_was_quiet() -> None:
    bench = await bench_of().open()
    assert bench.session.move()
    connection = await bench.green.connection()
    assert now() == pytest.approx(1, abs=0.01)
    assert bench.blue.connections[0].close_request == MOVED
    assert connection.request.reconnect
    assert replayed(connection.request) == 0
    assert bench.client.closed is None
    assert bench.counters.moves.value == 1
    assert bench.counters.failovers.value == 0


@on_virtual_clock
async def test_what_comes_meanwhile_waits_and_is_new_to_the_next() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.say("A")
    bench.session.move()
    bench.say("B", "C")
    assert old.texts == ["A"]
    old.acknowledge()
    connection = await bench.green.connection()
    assert connection.texts == ["B", "C"]
    assert replayed(connection.request) == 0
    assert bench.counters.replayed.value == 0
    bench.say("D")
    assert connection.texts == ["B", "C", "D"]


@on_virtual_clock
async def test_it_stays_when_there_is_nowhere_to_go_any_more() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.session.move()
    bench.say("A")
    bench.pooled[1].enabled = False
    await asyncio.sleep(2)
    assert bench.session.state is State.RELAYING
    bench.say("B")
    assert (old.texts, old.close_request) == (["A", "B"], None)
    old.acknowledge()

    bench.pooled[1].enabled = True
    assert bench.session.move()
    await bench.green.connection()
    assert bench.counters.moves.value == 1


@on_virtual_clock
async def test_replies_and_acknowledgements_are_waited_for() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.say("A")
    bench.session.move()
    await asyncio.sleep(2)
    assert bench.session.state is State.SETTLING  # not acknowledged
    old.acknowledge()
    await asyncio.sleep(0.9)
    old.reply("1")
    await asyncio.sleep(0.9)
    old.reply("2")
    await asyncio.sleep(0.9)
    assert old.close_request is None
    await bench.green.connection()
    assert now() == pytest.approx(6, abs=1.1)
    assert bench.client.texts == ["1", "2"]


@on_virtual_clock
async def test_what_the_old_one_says_until_its_end_reaches_the_client_first() -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.session.move()
    await old.until_close_requested()
    assert bench.session.state is State.LEAVING
    old.reply("last words")
    assert bench.green.requests == []
    old.confirm_close()
    connection = await bench.green.connection()
    connection.reply("first words")
    await idle()
    assert bench.client.texts == ["last words", "first words"]


@on_virtual_clock
async def test_patience_has_an_end() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.session.move()
    while now() < 9.9:
        old.reply("busy")
        await asyncio.sleep(0.5)
    connection = await bench.green.connection()
    assert now() == pytest.approx(10, abs=0.01)
    assert replayed(connection.request) == 0


@pytest.mark.parametrize("answered", [True, False])
@on_virtual_clock
async def test_what_is_not_acknowledged_by_then_is_by_the_answer_to_the_close(
    *, answered: bool
) -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.say("A")
    bench.session.move()
    bench.say("B")
    await old.until_close_requested()
    if answered:
        old.hang_up(1001)
    else:
        old.drop()
    connection = await bench.green.connection()
    assert connection.texts == (["B"] if answered else ["A", "B"])
    assert replayed(connection.request) == (0 if answered else 1)


@on_virtual_clock
async def test_a_slow_client_is_waited_for_beyond_all_patience() -> None:
    bench = await bench_of().open()
    bench.session.client_writable(False)
    bench.session.move()
    await asyncio.sleep(30)
    assert bench.session.state is State.SETTLING
    bench.session.client_writable(True)
    await bench.green.connection()


@on_virtual_clock
async def test_a_backend_that_is_lost_meanwhile_is_left_at_once() -> None:
    bench = await bench_of().open()
    bench.say("A")
    bench.session.move()
    bench.say("B")
    bench.drop()
    connection = await bench.green.connection()
    assert now() == 0
    assert connection.texts == ["A", "B"]
    assert replayed(connection.request) == 1
    await asyncio.sleep(20)
    assert bench.session.state is State.RELAYING
    assert bench.counters.moves.value == 0


@on_virtual_clock
async def test_a_backend_that_ends_the_session_meanwhile_ends_it() -> None:
    bench = await bench_of().open()
    bench.session.move()
    bench.blue.connections[0].hang_up(4000, "done")
    assert bench.client.closed == Close(4000, "done")
    assert bench.ended
    await idle()
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_a_client_that_leaves_before_stays_with_its_backend() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.say("A")
    bench.session.move()
    bench.say("B")
    bench.leave(4000, "bye")
    assert old.texts == ["A", "B"]
    old.acknowledge()
    assert old.close_request == Close(4000, "bye")
    await bench.until_ended()
    assert bench.green.requests == []
    assert bench.counters.undelivered.value == 0


@pytest.mark.parametrize("owing", [True, False])
@on_virtual_clock
async def test_a_client_that_leaves_behind_it_moves_on_if_anything_is_left(*, owing: bool) -> None:
    bench = await bench_of(answer_close=False).open()
    bench.session.move()
    if owing:
        bench.say("A")
    await bench.blue.connections[0].until_close_requested()
    bench.leave(4000, "bye")
    if not owing:
        assert bench.ended
        return
    connection = await bench.green.connection()
    assert connection.texts == ["A"]
    connection.acknowledge()
    assert connection.close_request == Close(4000, "bye")


@on_virtual_clock
async def test_an_operator_may_have_less_patience() -> None:
    bench = await bench_of().open()
    bench.say("A")
    bench.session.move()
    bench.session.fail_over()
    assert (await bench.green.connection()).texts == ["A"]
    assert now() == 0


@on_virtual_clock
async def test_who_cannot_move_does_not() -> None:
    without_failover = await RelayBench(failover=FailoverOptions(enabled=False)).open()
    assert not without_failover.session.move()
    bench = await bench_of().open()
    bench.blue.go_down()
    bench.green.go_down()
    assert not bench.session.move()
    bench.leave()
    assert not bench.session.move()


@on_virtual_clock
async def test_a_full_ledger_stops_the_client_as_ever() -> None:
    bench = await bench_of().open()
    bench.session.move()
    bench.say(b"x" * 1_500_000, b"x" * 1_500_000)
    assert not bench.is_reading()
    connection = await bench.green.connection()
    connection.acknowledge()
    assert bench.is_reading()
