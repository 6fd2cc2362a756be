"""Recovery measures how long a session was without a backend, and counts proofs of backends."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench


@on_virtual_clock
async def test_the_duration_of_a_failover_is_the_time_without_a_backend() -> None:
    bench = await RelayBench().open()
    bench.blue.go_down()
    bench.green.go_down()
    lost_at = asyncio.get_running_loop().time()
    await asyncio.sleep(7)
    bench.green.come_up()
    await bench.green.connection()
    served_at = asyncio.get_running_loop().time()
    durations = bench.counters.failover_durations
    assert sum(durations.counts) == 1
    assert durations.sum == pytest.approx(served_at - lost_at)
    assert durations.sum >= 7


@on_virtual_clock
async def test_the_duration_after_a_second_loss_begins_with_that_loss() -> None:
    bench = await RelayBench().open()
    bench.drop()
    await bench.green.connection()
    first = bench.counters.failover_durations.sum
    await asyncio.sleep(0.5)  # the first failover is not over yet
    bench.blue.go_down()
    bench.green.go_down()
    lost_at = asyncio.get_running_loop().time()
    await asyncio.sleep(5)
    bench.green.come_up()
    await bench.green.connection(1)
    second = bench.counters.failover_durations.sum - first
    assert second == pytest.approx(asyncio.get_running_loop().time() - lost_at)


@on_virtual_clock
async def test_a_session_counts_as_proof_of_its_backend_until_it_ends() -> None:
    bench = await RelayBench().open()
    (connection,) = bench.blue.connections
    assert bench.pooled[0].proved == 0
    for text in "ABC":
        bench.say(text)
        connection.acknowledge(1)
        connection.reply(text)
    assert bench.pooled[0].proved == 1
    bench.leave()
    await idle()
    assert bench.pooled[0].proved == 0
