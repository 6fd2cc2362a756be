"""Backends are added and removed while a gateway runs."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any, cast

import pytest

from wsgw_core.api import (
    BackendConnection,
    BackendContext,
    ConfigurationError,
    DialRequest,
    Limits,
    Metrics,
    Options,
    PluginError,
    Sink,
)
from wsgw_core.api.registry import Registration
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.plugins.plugin_specs import BackendSpec
from wsgw_core.pool.backends.backend_pool import BackendPool
from wsgw_core.pool.membership import open_backends
from wsgw_core.pool.membership.open_backends import OpenBackends
from wsgw_core.testing.context import make_context
from wsgw_core.testing.samples import samples
from wsgw_core.testing.virtual_clock import on_virtual_clock


class Pigeons:
    """A backend that records its calls."""

    def __init__(self, options: PigeonOptions, _context: BackendContext) -> None:
        self.options = options
        self.state = "made"

    async def open(self) -> None:
        if self.options.broken:
            raise ConfigurationError("no feed")
        if self.options.never_opens:
            await asyncio.sleep(1000)
        self.state = "open"

    async def connect(self, request: DialRequest, sink: Sink) -> BackendConnection:
        raise AssertionError("nobody connects")

    async def probe(self) -> None:
        pass

    async def close(self) -> None:
        self.state = "closed"
        if self.options.faulty:
            raise LookupError("no door")
        if self.options.never_closes:
            await asyncio.sleep(1000)


class PigeonOptions(Options):
    broken: bool = False
    faulty: bool = False
    never_opens: bool = False
    never_closes: bool = False


def spec(backend_id: str = "a", **options: Any) -> BackendSpec:
    registration: Registration[Any] = Registration("backend", "pigeon", PigeonOptions, Pigeons, ())
    entry = BackendEntry(kind="pigeon", id=backend_id)
    return BackendSpec(entry, registration, PigeonOptions(**options))


class Scene:
    """A pool with its OpenBackends."""

    def __init__(self) -> None:
        self.pool = BackendPool()
        self.with_sessions: set[str] = set()  # groups
        self.backends = OpenBackends(
            self.pool,
            lambda each: make_context(each.id),
            self.with_sessions.__contains__,
            logging.getLogger("test"),
        )

    @property
    def offered(self) -> list[str]:
        return [one.id for one in self.pool.backends]


async def test_a_backend_is_open_before_it_is_offered() -> None:
    scene = Scene()

    pooled = await scene.backends.prepare(spec(), make_context())
    assert scene.offered == []
    scene.backends.offer(pooled)

    assert scene.offered == ["a"]
    assert cast("Pigeons", pooled.backend).state == "open"
    assert scene.backends.spec_of(pooled).id == "a"


async def test_a_discarded_backend_is_closed() -> None:
    scene = Scene()
    pooled = await scene.backends.prepare(spec(), make_context())

    scene.backends.discard(pooled)
    await scene.backends.close()

    assert cast("Pigeons", pooled.backend).state == "closed"


async def test_a_backend_that_cannot_open_is_closed_and_not_offered() -> None:
    scene = Scene()

    with pytest.raises(ConfigurationError, match="no feed"):
        await scene.backends.add(spec(broken=True))

    assert scene.offered == []


async def test_a_second_backend_with_an_id_is_refused_and_closed() -> None:
    scene = Scene()
    first = await scene.backends.add(spec())

    with pytest.raises(ValueError, match="exists already"):
        await scene.backends.add(spec())

    assert scene.pool.find("a") is first


async def test_a_retired_backend_is_closed_when_it_has_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_backends, "_LOOK_EVERY", 0.001)
    scene = Scene()
    pooled = await scene.backends.add(spec())
    backend = cast("Pigeons", pooled.backend)
    pooled.active = 1

    scene.backends.retire(pooled)
    await asyncio.sleep(0.02)
    assert (scene.offered, backend.state) == ([], "open")
    another = await scene.backends.add(spec())
    assert scene.pool.versions(another) == [another, pooled]
    assert scene.pool.versions(pooled) == [pooled]
    assert scene.pool.connections(another) == 1

    pooled.active = 0
    async with asyncio.timeout(60):
        while len(scene.pool.versions(another)) > 1:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    assert backend.state == "closed"
    assert scene.pool.find("a") is another
    assert scene.pool.versions(another) == [another]
    await scene.backends.close()


async def test_a_backend_of_a_removed_group_stays_for_its_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_backends, "_LOOK_EVERY", 0.001)
    scene = Scene()
    pooled = await scene.backends.add(spec())
    backend = cast("Pigeons", pooled.backend)
    scene.with_sessions.add("")

    scene.backends.keep_for_sessions(pooled)
    await asyncio.sleep(0.02)
    assert (scene.offered, scene.pool.of_group(""), backend.state) == ([], [pooled], "open")

    another = await scene.backends.add(spec("b"))
    assert scene.pool.of_group("") == [another]
    scene.pool.remove(another)
    assert scene.pool.of_group("") == [pooled]

    scene.with_sessions.clear()
    async with asyncio.timeout(60):
        while backend.state != "closed":  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    assert scene.pool.of_group("") == []


async def test_a_stopping_gateway_does_not_wait_for_retired_backends() -> None:
    scene = Scene()
    pooled = await scene.backends.add(spec())
    pooled.active = 1
    scene.backends.retire(pooled)

    async with asyncio.timeout(30):
        await scene.backends.close()

    assert cast("Pigeons", pooled.backend).state == "closed"


async def test_a_fault_at_the_close_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.backends.add(spec(faulty=True))

    await scene.backends.close()

    assert "its plugin raised an error while closing" in caplog.text


async def test_metrics_of_a_backend_are_shown_until_it_is_closed() -> None:
    scene, metrics = Scene(), Metrics()
    context = dataclasses.replace(make_context(), metrics=metrics.of("pigeon", backend="a"))
    context.metrics.counter("fed", "Pigeons fed.").value += 1
    pooled = await scene.backends.prepare(spec(), context)
    scene.backends.offer(pooled)
    assert samples(metrics) == {'wsgw_pigeon_fed_total{backend="a"}': 1}

    await scene.backends.close()

    assert samples(metrics) == {}


async def test_a_backend_that_cannot_be_made_leaves_no_metrics() -> None:
    metrics = Metrics()
    context = dataclasses.replace(make_context(), metrics=metrics.of("pigeon", backend="a"))
    context.metrics.gauge("flying", "Pigeons in the air.", lambda: 1)
    registration: Registration[Any] = Registration(
        "backend", "pigeon", PigeonOptions, lambda *_: None, ()
    )
    made = BackendSpec(BackendEntry(kind="pigeon", id="a"), registration, PigeonOptions())

    with pytest.raises(PluginError):
        await Scene().backends.prepare(made, context)

    assert samples(metrics) == {}


@on_virtual_clock
async def test_a_close_that_hangs_or_fails_does_not_delay_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    for each in ({"never_closes": True}, {"faulty": True}, {}):
        await scene.backends.add(spec("".join(each) or "sound", **each))
    made = [cast("Pigeons", each.backend) for each in scene.pool.backends]

    await scene.backends.close()

    assert asyncio.get_running_loop().time() == 3 * Limits().close_timeout
    assert [each.state for each in made] == ["closed"] * 3
    assert sorted(each.message for each in caplog.records) == [
        "backend faulty: its plugin raised an error while closing",
        "backend never_closes: its plugin raised an error while closing",
    ]


@on_virtual_clock
async def test_an_open_that_hangs_is_a_configuration_error_after_a_minute() -> None:
    scene = Scene()
    with pytest.raises(
        ConfigurationError, match="backend a, kind 'pigeon': its open\\(\\) took longer"
    ):
        await scene.backends.add(spec(never_opens=True))
    assert asyncio.get_running_loop().time() == 60
    assert not scene.pool.backends
