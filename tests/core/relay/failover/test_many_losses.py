"""When many sessions lose their backend in one moment, the event loop serves others in between."""

from __future__ import annotations

import asyncio

from wsgw_core.api import Close
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.fakes import FakeBackend, FakeClient, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench

MANY = 5 * AT_ONCE


async def sessions_of(bench: RelayBench, count: int) -> list[Session]:
    """Open sessions at the bench's first backend."""
    sessions = []
    for number in range(count):
        session = Session(f"many-{number}", bench.handshake, bench.context)
        await session.open()
        session.start(FakeClient())
        sessions.append(session)
    await idle()
    return sessions


def keep_busy(backend: PooledBackend) -> None:
    """Have the next end of a connection wait, as if very many had ended before it."""
    for _ in range(50 * AT_ONCE):
        backend.ends.call(int)


def bench_of(failover: FailoverOptions | None = None) -> RelayBench:
    """Return a bench whose second backend gets no session before the first one is lost."""
    bench = RelayBench(FakeBackend("blue"), FakeBackend("green"), failover=failover)
    bench.pooled[1].enabled = False
    return bench


@on_virtual_clock
async def test_few_sessions_begin_to_search_in_each_turn_of_the_loop() -> None:
    bench = bench_of()
    sessions = await sessions_of(bench, MANY)
    bench.pooled[1].enabled = True
    lost = [0]
    bench.blue.go_down()
    while lost[-1] < MANY:
        lost.append(sum(session.backend is not bench.pooled[0] for session in sessions))
        assert lost[-1] - lost[-2] <= AT_ONCE
        await asyncio.sleep(0)  # one turn of the loop
    assert lost[1] == AT_ONCE  # a few sessions do not wait for a turn
    await asyncio.sleep(1)
    assert {session.backend for session in sessions} == {bench.pooled[1]}
    assert bench.counters.failovers.value == MANY


@on_virtual_clock
async def test_a_session_of_another_backend_does_not_wait_for_them() -> None:
    bench = bench_of()
    await sessions_of(bench, MANY)
    bench.pooled[0].enabled, bench.pooled[1].enabled = False, True
    (other,) = await sessions_of(bench, 1)
    bench.pooled[0].enabled = True
    bench.blue.go_down()
    bench.drop(bench.green)
    assert other.state is State.HOLDING


@on_virtual_clock
async def test_what_clients_send_meanwhile_goes_only_to_the_next_backend() -> None:
    bench = bench_of(FailoverOptions(delivery="at-most-once"))
    await bench.open()
    bench.pooled[1].enabled = True
    keep_busy(bench.pooled[0])
    bench.say("A")
    bench.drop()
    bench.say("B", "C")
    assert bench.session.state is State.RELAYING
    assert bench.blue.connections[0].ignored == []
    moved = await bench.green.connection()
    bench.say("D")
    assert moved.texts == ["B", "C", "D"]
    assert bench.counters.undelivered.value == 1  # A, which the lost backend may have seen


@on_virtual_clock
async def test_a_client_that_leaves_meanwhile_loses_nothing() -> None:
    bench = bench_of()
    await bench.open()
    bench.pooled[1].enabled = True
    keep_busy(bench.pooled[0])
    bench.say("A")
    bench.drop()
    bench.say("B")
    bench.leave(1000, "bye")
    moved = await bench.green.connection()
    await moved.until_received(2)
    assert moved.texts == ["A", "B"]
    moved.acknowledge()
    assert await moved.until_close_requested() == Close(1000, "bye")


@on_virtual_clock
async def test_a_session_that_ends_meanwhile_ignores_the_end() -> None:
    bench = bench_of()
    await bench.open()
    keep_busy(bench.pooled[0])
    bench.drop()
    bench.session.close(1000)
    await idle()
    assert bench.ended
    assert bench.counters.failovers.value == 0


@on_virtual_clock
async def test_an_end_before_the_close_of_a_move_acknowledges_nothing() -> None:
    """A normal end counts as an answer only if it comes after the close."""
    bench = bench_of()
    await bench.open()
    bench.pooled[1].enabled = True
    bench.say("A")
    bench.session.fail_over()
    await idle()
    keep_busy(bench.pooled[0])
    bench.blue.connections[0].hang_up(1000)
    bench.session.moves.leave()  # as the move does in its last step
    moved = await bench.green.connection(1)  # the move had dialled the first one
    await moved.until_received(1)
    assert moved.texts == ["A"]
    assert bench.blue.connections[0].close_request is None


@on_virtual_clock
async def test_sessions_end_a_few_in_each_turn_if_failover_is_disabled() -> None:
    bench = bench_of(FailoverOptions(enabled=False))
    sessions = await sessions_of(bench, MANY)
    bench.blue.go_down()
    for turn in range(1, MANY // AT_ONCE + 1):
        assert sum(session.state is State.ENDED for session in sessions) == turn * AT_ONCE
        await asyncio.sleep(0)  # one turn of the loop


@on_virtual_clock
async def test_a_reply_that_came_before_the_end_is_passed_on() -> None:
    bench = bench_of()
    await bench.open()
    keep_busy(bench.pooled[0])
    bench.blue.connections[0].reply(as_message("answer"))
    bench.drop()
    await idle()
    assert bench.client.texts == ["answer"]
