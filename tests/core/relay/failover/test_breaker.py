"""Connections that do not last trip the breaker of their backend; others prove the backend."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from wsgw_core.api import Close
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import FakeBackend, FakeClient
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench


def bench_of_one(*, acknowledge: bool = False) -> RelayBench:
    return RelayBench(
        FakeBackend("only", acknowledge=acknowledge),
        failover=FailoverOptions(hold=30),
        breaker_threshold=4,
    )


async def lose_a_session(bench: RelayBench) -> None:
    """Have one more session that loses its backend at once; it is held or served again."""
    await bench.open()
    bench.drop()
    await idle()


@on_virtual_clock
async def test_a_backend_that_accepts_and_drops_trips() -> None:
    bench = bench_of_one()
    for _ in range(4):
        await lose_a_session(bench)
    assert bench.pooled[0].breaker.trips == 1
    assert bench.pooled[0].failures == 4
    await bench.blue.connection(4)  # the last session is served nevertheless
    assert bench.client.closed is None


@on_virtual_clock
async def test_repeated_deaths_of_one_session_count_once() -> None:
    bench = await bench_of_one().open()
    for number in range(10):
        (await bench.blue.connection(number)).drop()
    assert not bench.pooled[0].breaker.tripped
    assert bench.pooled[0].failures == 10
    await (await bench.blue.connection(10)).until_started()
    await asyncio.sleep(1.1)  # it lasts, so that is over
    for _ in range(3):
        await lose_a_session(bench)
    bench.blue.connections[10].drop()
    assert not bench.pooled[0].breaker.tripped  # what was proved


@pytest.mark.parametrize(("code", "counts"), [(1001, False), (1011, False), (1006, True)])
@on_virtual_clock
async def test_a_close_after_the_backend_was_given_something_does_not_count(
    code: int, counts: bool
) -> None:
    bench = bench_of_one()
    for _ in range(4):
        await bench.open()
        bench.say("crash")
        bench.blue.connections[-1].hang_up(code, abnormal=True)
        bench.session.close(1000)
    assert bench.pooled[0].breaker.tripped is counts
    assert bench.pooled[0].failures == 4


@pytest.mark.parametrize("code", [1001, 1011, 1006])
@on_virtual_clock
async def test_a_close_before_the_backend_was_given_anything_counts(code: int) -> None:
    bench = bench_of_one()
    for _ in range(4):
        await bench.open()
        bench.blue.connections[-1].hang_up(code, abnormal=True)
        bench.session.close(1000)
    assert bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_a_loss_after_the_client_has_closed_does_not_count() -> None:
    bench = bench_of_one()
    for _ in range(8):
        await bench.open()
        bench.leave()
        bench.drop()
    assert not bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_a_loss_does_not_count_while_another_session_is_proved() -> None:
    bench = await bench_of_one().open()
    await asyncio.sleep(1.1)
    lasting, proved = bench.session, bench.blue.connections[0]
    for _ in range(8):
        await lose_a_session(bench)
    assert bench.pooled[0].proved == 1
    assert bench.pooled[0].breaker.trips == 0
    proved.hang_up()
    assert lasting.state is State.ENDED
    assert bench.pooled[0].proved == 0
    for _ in range(4):
        await lose_a_session(bench)
    assert bench.pooled[0].breaker.trips == 1


@on_virtual_clock
async def test_a_message_of_the_backend_proves_the_backend() -> None:
    bench = bench_of_one()
    for _ in range(8):
        bench.client = FakeClient()
        await bench.open()
        assert bench.pooled[0].proved == 0
        bench.blue.connections[-1].reply("welcome")
        assert bench.pooled[0].proved == 1
        bench.drop()
        assert bench.pooled[0].proved == 0
        assert bench.client.texts == ["welcome"]
        bench.session.close(1000)
    assert bench.pooled[0].failures == 0


@on_virtual_clock
async def test_a_message_of_the_backend_does_not_restart_the_hold() -> None:
    bench = await bench_of_one().open()

    async def greet_and_drop() -> None:
        for number in itertools.count():
            connection = await bench.blue.connection(number)
            connection.reply("welcome")
            connection.drop()

    dropping = asyncio.create_task(greet_and_drop())
    assert (await bench.client.until_closed()).code == 1013
    assert asyncio.get_running_loop().time() < 35
    dropping.cancel()


@on_virtual_clock
async def test_a_connection_that_lasts_proves_itself() -> None:
    bench = await bench_of_one().open()
    for number in range(10):
        await bench.blue.connection(number)
        await asyncio.sleep(1.1)
        bench.drop()
    assert not bench.pooled[0].breaker.tripped
    assert bench.pooled[0].failures == 0


@on_virtual_clock
async def test_a_delivered_message_proves_the_backend() -> None:
    bench = await bench_of_one(acknowledge=True).open()
    for number in range(10):
        connection = await bench.blue.connection(number)
        bench.say("A")
        await asyncio.sleep(0.01)
        connection.drop()
    assert not bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_a_close_of_the_applications_own_does_not_count() -> None:
    bench = await bench_of_one().open()
    (await bench.blue.connection(0)).hang_up(4000, "bye")
    assert await bench.client.until_closed() == Close(4000, "bye")
    assert bench.pooled[0].failures == 0


@on_virtual_clock
async def test_a_backend_that_listens_for_moments_is_dialled_by_one_session_at_a_time() -> None:
    bench = RelayBench(FakeBackend("blue"), FakeBackend("green"), breaker_threshold=3)

    async def flap() -> None:
        for _ in range(20):
            await asyncio.sleep(0.5)
            bench.blue.go_down()
            await asyncio.sleep(0.5)
            bench.blue.come_up()

    flapping = asyncio.create_task(flap())
    sessions: list[Session] = []
    before = 0
    while not flapping.done():
        session = Session(f"s-{len(sessions)}", bench.handshake, bench.context)
        await session.open()
        session.start(FakeClient())
        sessions.append(session)
        await asyncio.sleep(0.01)
        if not bench.pooled[0].breaker.trips:
            before = len(sessions)
    later = sessions[before:]
    assert len(later) > 1000
    assert sum(session.reconnects for session in later) <= 20
