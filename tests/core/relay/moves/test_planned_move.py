"""A planned move loses no message and no reply."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close, CloseCause
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import Accept, Answer, Decline, FakeBackend, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench, replayed

DRAIN = DrainOptions(quiet=1, patience=10)
DRAIN_FAST = DrainOptions(quiet=0.01, patience=10)
MOVED = Close(1001, "moved to another backend")


def bench_of(*, answer_close: bool = True) -> RelayBench:
    return RelayBench(
        FakeBackend("blue", answer_close=answer_close), FakeBackend("green"), drain=DRAIN
    )


def now() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_clock
async def test_a_session_with_nothing_in_flight_moves_after_a_quiet_time() -> None:
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
async def test_both_directions_are_relayed_until_the_session_is_quiet() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.session.move()
    for number in range(12):
        bench.say(str(number))
        old.acknowledge()
        old.reply(f"answer to {number}")
        await asyncio.sleep(0.5)
    assert len(old.texts) == len(bench.client.texts) == 12
    assert bench.green.requests == []
    connection = await bench.green.connection()
    assert now() == pytest.approx(6.5, abs=0.51)
    bench.say("new")
    assert connection.texts == ["new"]
    assert replayed(connection.request) == 0


@on_virtual_clock
async def test_messages_of_the_last_step_go_to_the_next_backend_and_are_not_replayed() -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.session.move()
    await old.until_close_requested()
    bench.say("B", "C")
    old.confirm_close()
    connection = await bench.green.connection()
    assert (old.texts, connection.texts) == ([], ["B", "C"])
    assert replayed(connection.request) == bench.counters.replayed.value == 0
    bench.say("D")
    assert connection.texts == ["B", "C", "D"]


@on_virtual_clock
async def test_the_next_backend_is_dialled_before_the_old_connection_is_closed() -> None:
    bench = await bench_of().open()
    bench.green.otherwise = Accept(after=0.5)
    old = bench.blue.connections[0]
    bench.session.move()
    await bench.green.until_dialled(1)
    bench.say("A")
    assert old.texts == ["A"]
    old.acknowledge()
    await asyncio.sleep(0.6)
    assert len(bench.green.connections) == 1
    assert not bench.green.connections[0].started
    assert old.close_request is None  # the client has sent a message meanwhile
    connection = await bench.green.connection()
    assert now() == pytest.approx(2.5, abs=0.51)
    assert connection is bench.green.connections[0]
    assert old.close_request == MOVED


@on_virtual_clock
async def test_a_connection_that_waited_too_long_is_replaced_by_a_new_dial() -> None:
    bench = await bench_of().open()
    bench.green.otherwise = Accept(after=0.1)
    old = bench.blue.connections[0]
    bench.session.move()
    await bench.green.until_dialled(1)
    dialled = now()
    made = bench.green.connections
    async with asyncio.timeout(60):
        while not made or made[0].close_request is None:
            bench.say("A")
            old.acknowledge()
            await asyncio.sleep(0.1)
    assert now() - dialled == pytest.approx(5.5, abs=0.4)  # it looks each half second
    await bench.green.connection(1)
    first = made[0]
    assert first.close_cause is CloseCause.SESSION_MOVES
    assert not first.started


@on_virtual_clock
async def test_pushed_messages_do_not_delay_the_move_of_a_silent_client() -> None:
    bench = await bench_of().open()
    await asyncio.sleep(100)
    bench.session.move()
    async with asyncio.timeout(60):
        while bench.session.backend_id == "blue":
            bench.blue.connections[0].reply("news")
            await asyncio.sleep(0.1)
    assert now() == pytest.approx(110, abs=0.7)  # ten times as long as drain.quiet


@pytest.mark.parametrize("answer", [Decline(404), Unavailable()])
@on_virtual_clock
async def test_a_move_is_called_off_when_no_other_backend_takes_the_session(answer: Answer) -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.green.otherwise = answer
    assert bench.session.move()
    bench.say("A")
    old.acknowledge()
    await asyncio.sleep(2.1)
    assert bench.session.state is State.RELAYING
    bench.say("B")
    assert (old.texts, old.close_request) == (["A", "B"], None)
    assert bench.client.closed is None
    assert bench.counters.moves_called_off.value == 1
    assert bench.counters.moves.value == bench.counters.failovers.value == 0

    assert not bench.session.move(), "not again at once"
    old.acknowledge()
    bench.green.otherwise = Accept()
    await asyncio.sleep(2)
    assert bench.session.move()
    await bench.green.connection()
    assert bench.counters.moves.value == 1


@on_virtual_clock
async def test_failed_moves_are_repeated_ever_more_rarely() -> None:
    bench = await bench_of().open()
    bench.green.otherwise = Decline(404)
    while now() < 600:
        bench.session.move()
        bench.session.fail_over()
        await asyncio.sleep(0.1)
    assert 500 < len(bench.green.requests) < 620  # an operator's are made each second

    bench = await bench_of().open()
    bench.green.otherwise = Decline(404)
    while now() < 1200:
        bench.session.move()
        await asyncio.sleep(0.5)
    assert 10 < len(bench.green.requests) < 20


@pytest.mark.parametrize("urgent", [True, False])
@on_virtual_clock
async def test_moves_change_neither_hold_nor_backoff_of_the_next_loss(*, urgent: bool) -> None:
    bench = await RelayBench(failover=FailoverOptions(hold=0), drain=DRAIN_FAST).open()
    for number in range(6):
        here, there = bench.backends[number % 2], bench.backends[1 - number % 2]
        assert bench.session.fail_over() if urgent else bench.session.move()
        await there.connection((number + 1) // 2)
        assert bench.session.backend_id == there.backend_id != here.backend_id
    assert now() < 1
    assert bench.client.closed is None
    there.connections[-1].drop()  # the first loss
    await here.connection(3)
    assert bench.client.closed is None


@on_virtual_clock
async def test_a_session_does_not_move_before_its_backend_has_proved_itself_after_a_loss() -> None:
    bench = await bench_of().open()
    bench.drop()
    connection = await bench.green.connection()
    assert not bench.session.move()
    connection.reply("here I am")
    assert bench.session.move()


@on_virtual_clock
async def test_a_move_waits_for_replies_and_acknowledgements() -> None:
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
async def test_the_old_backends_last_messages_reach_the_client_first() -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.session.move()
    await old.until_close_requested()
    assert bench.session.state is State.LEAVING
    old.reply("last words")
    assert not bench.green.connections[0].started
    old.confirm_close()
    connection = await bench.green.connection()
    connection.reply("first words")
    await idle()
    assert bench.client.texts == ["last words", "first words"]


@on_virtual_clock
async def test_a_busy_session_moves_after_the_patience_and_waits_in_the_last_step_alone() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.session.move()
    while now() < 9.95:
        bench.say("question")
        old.acknowledge()
        old.reply("answer")
        await asyncio.sleep(0.1)
    held = now()
    asked = len(old.texts)
    bench.say("question")
    await asyncio.sleep(0.3)
    assert len(old.texts) <= asked + 1
    old.reply("the last answer")
    connection = await bench.green.connection()
    assert now() - held < DRAIN.step
    assert replayed(connection.request) == 0
    assert len(old.texts) + len(connection.texts) == asked + 1
    assert bench.client.texts[-1] == "the last answer"


@pytest.mark.parametrize("answered", [True, False])
@on_virtual_clock
async def test_the_answer_to_the_close_acknowledges_the_rest(*, answered: bool) -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.say("A")
    bench.session.move()
    await old.until_close_requested()
    bench.say("B")
    if answered:
        old.hang_up(1001)
    else:
        old.drop()
    # the one that was ready knows of no replay
    connection = await bench.green.connection(0 if answered else 1)
    assert connection.texts == (["B"] if answered else ["A", "B"])
    assert replayed(connection.request) == (0 if answered else 1)


@on_virtual_clock
async def test_an_old_backend_that_does_not_end_is_left_after_the_last_step() -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.session.move()
    await old.until_close_requested()
    told = now()
    bench.say("A")
    connection = await bench.green.connection()
    assert now() - told == pytest.approx(DRAIN.step, abs=0.01)
    assert connection.texts == ["A"]
    assert not old.reply("too late")


@on_virtual_clock
async def test_a_move_waits_for_a_slow_client_beyond_the_patience() -> None:
    bench = await bench_of().open()
    bench.session.client_writable(False)
    bench.session.move()
    await asyncio.sleep(30)
    assert bench.session.state is State.SETTLING
    bench.session.client_writable(True)
    await bench.green.connection()


@on_virtual_clock
async def test_a_backend_lost_during_the_move_is_left_at_once() -> None:
    bench = await bench_of().open()
    bench.say("A")
    bench.session.move()
    bench.drop()
    bench.say("B")
    connection = await bench.green.connection()
    assert now() == 0
    assert connection.texts == ["A", "B"]
    assert replayed(connection.request) == 1
    await asyncio.sleep(20)
    assert bench.session.state is State.RELAYING
    assert bench.counters.moves.value == 0


@on_virtual_clock
async def test_a_backend_that_closes_during_the_move_ends_the_session() -> None:
    bench = await bench_of().open()
    bench.session.move()
    bench.blue.connections[0].hang_up(4000, "done")
    assert bench.client.closed == Close(4000, "done")
    assert bench.ended
    await idle()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("must_leave", [True, False])
@on_virtual_clock
async def test_unless_the_session_leaves_it_at_once(*, must_leave: bool) -> None:
    bench = await bench_of().open()
    bench.green.will(Accept(after=1))
    bench.say("A")
    bench.session.fail_over(must_leave=must_leave)
    bench.say("B")
    bench.blue.connections[0].hang_up(1000, "restarting")
    connection = await bench.green.connection()
    assert connection.texts == ["A", "B"]
    assert bench.client.closed is None
    assert bench.counters.failovers.value == 1


@on_virtual_clock
async def test_but_without_failover_the_client_gets_the_close_as_it_is() -> None:
    bench = await RelayBench(failover=FailoverOptions(enabled=False), drain=DRAIN).open()
    bench.green.will(Accept(after=1))
    bench.session.fail_over()
    bench.blue.connections[0].hang_up(4000, "done")
    assert bench.client.closed == Close(4000, "done")
    assert bench.ended


@on_virtual_clock
async def test_a_client_that_leaves_before_the_move_stays_with_its_backend() -> None:
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
async def test_a_client_that_leaves_in_the_last_step_moves_only_if_anything_is_undelivered(
    *, owing: bool
) -> None:
    bench = await bench_of(answer_close=False).open()
    bench.session.move()
    await bench.blue.connections[0].until_close_requested()
    if owing:
        bench.say("A")
    bench.leave(4000, "bye")
    if not owing:
        assert bench.ended
        await idle()
        assert bench.green.connections[0].close_request is not None
        assert bench.counters.moves.value == 0
        return
    connection = await bench.green.connection()
    assert connection.texts == ["A"]
    assert bench.counters.moves.value == 1
    connection.acknowledge()
    assert connection.close_request == Close(4000, "bye")


@on_virtual_clock
async def test_an_operators_move_does_not_wait_until_the_session_is_quiet() -> None:
    bench = await bench_of().open()
    bench.say("A")
    bench.session.move()
    bench.session.fail_over()
    assert (await bench.green.connection()).texts == []
    assert bench.blue.connections[0].texts == ["A"]
    assert bench.session.unacknowledged == 0
    assert now() == pytest.approx(DRAIN.step / 2, abs=0.06)  # the old one had time to read


@on_virtual_clock
async def test_an_operators_move_waits_for_acknowledgements_but_not_for_answers() -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.say("A")
    bench.session.fail_over()
    await asyncio.sleep(0.2)
    assert old.close_request is None
    old.acknowledge()
    await old.until_close_requested()
    assert now() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("takes", [0.3, 1.5])
@on_virtual_clock
async def test_an_operators_move_stops_sending_during_its_dial_for_half_a_step_only(
    takes: float,
) -> None:
    bench = await bench_of().open()
    old = bench.blue.connections[0]
    bench.green.otherwise = Accept(after=takes)
    bench.session.fail_over()
    bench.say("A")
    await asyncio.sleep(0.6)
    assert old.texts == (["A"] if takes > DRAIN.step else [])
    bench.say("B")
    if takes > DRAIN.step:
        old.acknowledge()
    connection = await bench.green.connection()
    assert old.texts + connection.texts == ["A", "B"]
    assert replayed(connection.request) == 0
    assert now() == pytest.approx(max(takes, 0.6))


@on_virtual_clock
async def test_a_move_that_is_called_off_sends_what_waited() -> None:
    bench = await bench_of().open()
    bench.green.otherwise = bench.blue.otherwise = Decline(404, after=0.1)
    bench.session.fail_over()
    bench.say("A")
    await asyncio.sleep(0.2)
    assert bench.session.state is State.RELAYING
    assert bench.blue.connections[0].texts == ["A"]
    assert not bench.session.fail_over(), "not again at once"


@on_virtual_clock
async def test_a_session_that_must_leave_is_held_when_no_other_backend_is_found() -> None:
    bench = await bench_of().open()
    bench.say("A")
    bench.green.otherwise = bench.blue.otherwise = Unavailable()
    bench.session.fail_over(must_leave=True)
    await asyncio.sleep(1)
    assert bench.session.state is State.HOLDING
    bench.green.otherwise = Accept()
    assert (await bench.green.connection()).texts == ["A"]


@on_virtual_clock
async def test_a_session_without_failover_backend_or_client_does_not_move() -> None:
    without_failover = await RelayBench(failover=FailoverOptions(enabled=False)).open()
    assert not without_failover.session.move()
    bench = await bench_of().open()
    bench.blue.go_down()
    bench.green.go_down()
    assert not bench.session.move()
    bench.leave()
    assert not bench.session.move()


@on_virtual_clock
async def test_a_full_ledger_pauses_the_client_during_a_move() -> None:
    bench = await bench_of().open()
    bench.session.move()
    bench.say(b"x" * 1_500_000, b"x" * 1_500_000)
    assert not bench.is_reading()
    connection = await bench.green.connection()
    connection.acknowledge()
    assert bench.is_reading()


@on_virtual_clock
async def test_a_connection_that_a_client_needs_no_more_is_closed() -> None:
    bench = await bench_of(answer_close=False).open()
    old = bench.blue.connections[0]
    bench.say("A")
    assert bench.session.fail_over()
    await old.until_close_requested()
    bench.leave()
    assert bench.session.unacknowledged == 1
    old.hang_up()  # as asked, which acknowledges everything
    assert bench.ended
    assert bench.counters.undelivered.value == 0
    (ready,) = bench.green.connections
    assert ready.close_request is not None
    assert not ready.started
    assert bench.pooled[1].active == 0
