"""A backend that its plugin reports as down is dialled by one session at a time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from wsgw_core.pool.backends.outage import Outage
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.testing.fakes import Accept, Decline, Fault, Hang, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..dial_bench import Bench, now


def down(bench: Bench, number: int = 0) -> None:
    bench.pooled[number].go_down(now(), "link lost")


@on_virtual_clock
async def test_the_first_dial_is_the_probe_and_brings_it_up() -> None:
    bench = Bench("a")
    down(bench)
    assert bench.pooled[0].fault == "is down"
    dialled = await bench.dial()
    assert dialled.backend is bench.pooled[0]
    assert bench.pooled[0].fault is None


@on_virtual_clock
async def test_dials_that_come_during_a_probe_wait_and_then_go_on() -> None:
    bench = Bench("a")
    down(bench)
    bench.backends[0].will(Accept(after=3))
    dials = [asyncio.create_task(bench.dial()) for _ in range(50)]
    await asyncio.sleep(2.9)
    assert len(bench.backends[0].requests) == 1
    await asyncio.gather(*dials)
    assert len(bench.backends[0].connections) == 50


@on_virtual_clock
async def test_dials_that_wait_for_a_probe_fail_with_it() -> None:
    bench = Bench("a")
    down(bench)
    bench.limiters.change(100, 0.01)
    bench.backends[0].otherwise = Unavailable("still nobody", after=3)
    dials = [asyncio.create_task(bench.dial()) for _ in range(50)]
    results = await asyncio.gather(*dials, return_exceptions=True)
    assert all(isinstance(result, NoBackend) for result in results)
    assert now() < 3.5
    assert len(bench.backends[0].requests) == 1
    assert bench.pooled[0].failures == 1
    assert bench.pooled[0].dialling == 0


@on_virtual_clock
async def test_between_two_probes_dials_are_refused_at_once() -> None:
    bench = Bench("a")
    down(bench)
    bench.backends[0].otherwise = Unavailable("still nobody")
    probes: list[float] = []
    while now() < 20:
        begun = now()
        with pytest.raises(NoBackend) as refused:
            await bench.dial()
        assert now() == begun
        assert refused.value.retry_after == 0
        if len(bench.backends[0].requests) > len(probes):
            probes.append(now())
        await asyncio.sleep(0.01)
    pauses = [later - earlier for earlier, later in pairwise(probes)]
    assert probes[0] < 0.01
    assert all(0.1 < pause < 0.21 for pause in pauses)
    bench.backends[0].come_up()
    await asyncio.sleep(0.2)
    await bench.dial()


@on_virtual_clock
async def test_a_probe_does_not_delay_dials_of_another_backend() -> None:
    bench = Bench("a", "b")
    down(bench)
    bench.backends[0].will(Hang())
    probe = asyncio.create_task(bench.dial())
    await bench.backends[0].until_dialled(1)
    for _ in range(4):
        assert (await bench.dial()).backend is bench.pooled[1]
    assert now() == 0
    probe.cancel()


@on_virtual_clock
async def test_after_a_cancelled_probe_the_next_dial_probes_at_once() -> None:
    bench = Bench("a")
    down(bench)
    bench.backends[0].will(Hang())
    probe = asyncio.create_task(bench.dial())
    await bench.backends[0].until_dialled(1)
    waiting = asyncio.create_task(bench.dial())
    await idle()
    probe.cancel()
    assert (await waiting).backend is bench.pooled[0]
    assert now() == 0


@on_virtual_clock
async def test_a_fault_in_the_plugin_is_a_failed_probe() -> None:
    bench = Bench("a")
    down(bench)
    bench.backends[0].will(Fault(ValueError("oh")))
    with pytest.raises(NoBackend):
        await bench.dial()
    assert bench.pooled[0].fault == "is down"
    with pytest.raises(NoBackend):
        await bench.dial()
    assert len(bench.backends[0].requests) == 1


@on_virtual_clock
async def test_a_backend_that_declines_is_up() -> None:
    bench = Bench("a")
    down(bench)
    bench.backends[0].will(Decline(403))
    with pytest.raises(Exception, match="403"):
        await bench.dial()
    assert bench.pooled[0].fault is None


@on_virtual_clock
async def test_enabling_a_backend_ends_its_outage() -> None:
    bench = Bench("a")
    down(bench)
    bench.backends[0].will(Unavailable())
    with pytest.raises(NoBackend):
        await bench.dial()
    bench.pooled[0].reset()
    await bench.dial()


@on_virtual_clock
async def test_a_backend_without_a_breaker_can_be_down() -> None:
    bench = Bench("a")
    bench.pooled[0].breaker = type(bench.pooled[0].breaker)(-1)
    down(bench)
    bench.backends[0].otherwise = Unavailable()
    for _ in range(5):
        with pytest.raises(NoBackend):
            await bench.dial()
    assert len(bench.backends[0].requests) == 1


@on_virtual_clock
async def test_a_backend_with_retry_after_is_not_dialled_before() -> None:
    bench = Bench("a")
    bench.backends[0].will(Unavailable("too busy", retry_after=5))
    with pytest.raises(NoBackend) as first:
        await bench.dial()
    assert first.value.retry_after == 5
    await asyncio.sleep(4)
    with pytest.raises(NoBackend) as second:
        await bench.dial()
    assert second.value.retry_after == pytest.approx(1)
    assert len(bench.backends[0].requests) == 1
    await asyncio.sleep(1)
    await bench.dial()


@on_virtual_clock
async def test_retry_after_is_limited_to_a_minute() -> None:
    bench = Bench("a")
    bench.backends[0].will(Unavailable("too busy", retry_after=1e9))
    with pytest.raises(NoBackend) as refused:
        await bench.dial()
    assert refused.value.retry_after == 60
    await asyncio.sleep(60)
    await bench.dial()


@on_virtual_clock
async def test_clients_get_the_shortest_retry_after_of_all_backends() -> None:
    bench = Bench("a", "b", "c")
    for backend, seconds in zip(bench.backends, (30, 7, 0), strict=True):
        backend.will(Unavailable("too busy", retry_after=seconds))
    with pytest.raises(NoBackend) as refused:
        await bench.dial()
    assert refused.value.retry_after == pytest.approx(7)


@on_virtual_clock
async def test_clients_get_no_retry_after_if_no_backend_has_one() -> None:
    bench = Bench("a", "b")
    for backend in bench.backends:
        backend.will(Unavailable("too busy"))
    with pytest.raises(NoBackend) as refused:
        await bench.dial()
    assert refused.value.retry_after == 0


def test_a_flapping_backend_is_probed_less_and_less_often() -> None:
    outage, time, waits = Outage(), 0.0, []
    for _ in range(6):
        assert outage.begin(time, "lost")
        begun = time
        while not outage.allows(time):
            time += 0.01
            assert time - begun < 10
        waits.append(time - begun)
        assert outage.end()  # the probe was answered, and then the link is lost at once
    assert waits[0] == 0
    assert 0.15 < waits[1] < 0.35
    assert 0.35 < waits[2] < 0.7
    assert all(0.7 < wait < 1.3 for wait in waits[3:])
    outage.proved()
    assert outage.begin(time, "lost")
    assert outage.allows(time)


def test_a_second_report_of_down_publishes_no_event() -> None:
    outage = Outage()
    assert outage.begin(0, "lost")
    assert not outage.begin(0, "lost once more")
    assert outage.reason == "lost once more"
    assert outage.end()
    assert not outage.end()


def test_another_report_of_an_outage_does_not_shorten_the_rest() -> None:
    outage = Outage()
    assert outage.begin(100, "too busy", rest=10)
    assert not outage.begin(102, "lost")
    assert outage.rest(102) == 8
    assert not outage.allows(109)
    assert outage.allows(110)
