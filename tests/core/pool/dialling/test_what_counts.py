"""Only failures that no client can have provoked count against a backend."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import BackendUnavailable, BackendUnreachable, UnusableAnswer
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.testing.fakes import Accept, Decline, Fault, Unavailable
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..dial_bench import AGAIN, Bench, trip


@pytest.mark.parametrize(
    ("kind", "proved", "counts"),
    [
        (BackendUnreachable, 0, True),
        (BackendUnreachable, 1, True),
        (BackendUnavailable, 0, True),
        (BackendUnavailable, 1, False),
        (UnusableAnswer, 0, False),
        (UnusableAnswer, 1, False),
    ],
)
@on_virtual_clock
async def test_a_failed_dial(kind: type[BackendUnavailable], proved: int, counts: bool) -> None:
    bench = Bench("a")
    bench.pooled[0].proved = proved
    bench.backends[0].otherwise = Unavailable(error=kind)
    for _ in range(12):
        with pytest.raises(NoBackend):
            await bench.dial()
    assert bench.pooled[0].breaker.tripped is counts
    assert bench.pooled[0].failures == 12
    assert bench.counters.dials_failed.value == 12


@pytest.mark.parametrize("proved", [0, 1])
@on_virtual_clock
async def test_a_fault_of_the_plugin_counts_while_no_session_is_served(proved: int) -> None:
    bench = Bench("a")
    bench.pooled[0].proved = proved
    bench.backends[0].otherwise = Fault(KeyError("path"))
    for _ in range(10):
        with pytest.raises(NoBackend):
            await bench.dial()
    assert bench.pooled[0].breaker.tripped is not proved


@pytest.mark.parametrize("answer", [Accept("soap"), Accept(None), Decline(429)])
@on_virtual_clock
async def test_an_answer_that_does_not_suit_a_session_does_not_count(
    answer: Accept | Decline,
) -> None:
    bench = Bench("a")
    bench.backends[0].otherwise = answer
    for _ in range(12):
        with pytest.raises(NoBackend):
            await bench.dial(AGAIN)
    assert not bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_an_unusable_answer_ends_a_trial_well() -> None:
    bench = Bench("a")
    trip(bench.pooled[0])
    bench.backends[0].otherwise = Unavailable(error=UnusableAnswer)
    with pytest.raises(NoBackend):
        await bench.dial()
    assert not bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_a_dial_that_takes_too_long_counts() -> None:
    bench = Bench("a")
    bench.limiters.change(100, 0)
    dials = await bench.hang(10)
    await asyncio.gather(*dials, return_exceptions=True)
    assert bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_a_slow_dial_does_not_count_if_others_were_answered() -> None:
    bench = Bench("a")
    bench.limiters.change(100, 0)
    dials = await bench.hang(10)
    await asyncio.sleep(1)
    bench.backends[0].will(Accept())
    await bench.dial()
    await asyncio.gather(*dials, return_exceptions=True)
    assert bench.pooled[0].failures == 10
    assert not bench.pooled[0].breaker.tripped
