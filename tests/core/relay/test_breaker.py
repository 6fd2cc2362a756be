"""What the breaker learns from sessions: connections that do not last count, others prove."""

from __future__ import annotations

import asyncio

from wsgw_core.api import Close
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import on_virtual_clock

from .relay_bench import RelayBench


def bench_of_one(*, acknowledge: bool = False) -> RelayBench:
    return RelayBench(
        FakeBackend("only", acknowledge=acknowledge),
        failover=FailoverOptions(hold=30),
        breaker_threshold=4,
    )


@on_virtual_clock
async def test_a_backend_that_accepts_and_drops_trips() -> None:
    bench = await bench_of_one().open()

    async def keep_dropping() -> None:
        for number in range(4):
            (await bench.blue.connection(number)).drop()

    await keep_dropping()
    await asyncio.sleep(0.01)
    assert bench.pooled[0].breaker.tripped
    assert bench.pooled[0].failures == 4
    await bench.blue.connection(4)  # the session is held until a trial finds it better
    assert bench.client.closed is None


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
async def test_a_delivered_message_proves_it_too() -> None:
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
