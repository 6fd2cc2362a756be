"""Backends are probed, and come last if the probes fail."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import Metrics, OutOfResources
from wsgw_core.config.upstream_options import HealthOptions
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.backends.health import HealthChecks
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import on_virtual_clock


class Bench:
    """A pool whose backends are probed every ten seconds or so."""

    def __init__(self, **options: object) -> None:
        self.backend = FakeBackend("a")
        self.pooled = PooledBackend("a", self.backend)
        self.pool = BackendPool([self.pooled])
        self.counters = GatewayCounters(Metrics())
        given = HealthOptions.model_validate({"interval": "10s", **options})
        self.checks = HealthChecks(self.pool, given, self.counters, logging.getLogger("wsgw.test"))
        self.checks.start()


@on_virtual_clock
async def test_without_an_interval_no_backend_is_probed() -> None:
    bench = Bench(interval=None)
    await asyncio.sleep(1000)
    assert bench.backend.probes == 0
    await bench.checks.stop()


@on_virtual_clock
async def test_results_in_a_row_decide_whether_a_backend_is_healthy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(unhealthy_after=3, healthy_after=2)
    await asyncio.sleep(1)
    assert bench.backend.probes == 1
    bench.backend.healthy = False
    found = []
    for wait in (22, 11):
        await asyncio.sleep(wait)
        found.append(bench.pooled.healthy)
    assert bench.counters.probes_failed.value == 3
    bench.backend.healthy = True
    for wait in (11, 11):
        await asyncio.sleep(wait)
        found.append(bench.pooled.healthy)
    assert found == [True, False, False, True]
    assert [record.getMessage().partition(":")[2][:10] for record in caplog.records] == [
        " unhealthy",
        " healthy a",
    ]
    await bench.checks.stop()


@on_virtual_clock
async def test_one_good_result_restarts_the_count() -> None:
    bench = Bench(unhealthy_after=2)
    for _ in range(5):
        bench.backend.healthy = False
        probes = bench.backend.probes
        async with asyncio.timeout(60):
            while bench.backend.probes == probes:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(1)
        bench.backend.healthy = True
        await asyncio.sleep(11)
    assert bench.pooled.healthy
    await bench.checks.stop()


@on_virtual_clock
async def test_a_probe_that_hangs_fails() -> None:
    bench = Bench(timeout="2s", unhealthy_after=1)

    async def hang() -> None:
        await asyncio.Event().wait()

    bench.backend.probe = hang  # type: ignore[method-assign]  # a script for it
    await asyncio.sleep(3)
    assert not bench.pooled.healthy
    await bench.checks.stop()


@on_virtual_clock
async def test_a_probe_with_a_fault_in_the_plugin_fails(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(unhealthy_after=1)

    async def fail() -> None:
        raise ZeroDivisionError

    bench.backend.probe = fail  # type: ignore[method-assign]  # a script for it
    await asyncio.sleep(3)
    assert not bench.pooled.healthy
    assert "its plugin raised" in caplog.text
    await bench.checks.stop()


@on_virtual_clock
async def test_added_backends_are_probed_and_removed_ones_are_not() -> None:
    bench = Bench()
    added = FakeBackend("b")
    bench.pool.add(PooledBackend("b", added))
    bench.pool.remove(bench.pooled)
    await asyncio.sleep(50)
    assert added.probes >= 4
    assert bench.backend.probes == 0
    await bench.checks.stop()


@on_virtual_clock
async def test_a_probe_without_resources_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def probe(_backend: FakeBackend) -> None:
        raise OutOfResources("no name server")

    monkeypatch.setattr(FakeBackend, "probe", probe)
    bench = Bench(unhealthy_after=1)
    await asyncio.sleep(100)
    assert bench.pooled.healthy
    assert bench.counters.probes_failed.value == 0
    await bench.checks.stop()
