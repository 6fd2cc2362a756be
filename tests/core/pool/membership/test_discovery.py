"""The backends of a name follow its addresses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any, cast

import pytest

from wsgw_core.api import (
    Backend,
    BackendContext,
    BackendUnavailable,
    ConfigurationError,
    Counter,
    Options,
    OutOfResources,
    TlsClientOptions,
    UrlTemplate,
)
from wsgw_core.api.registry import Registration
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.plugins.plugin_specs import BackendSpec
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.pool.membership.discovery import Discoveries, Discovery
from wsgw_core.pool.membership.open_backends import OpenBackends
from wsgw_core.pool.membership.system_resolver import SystemResolver
from wsgw_core.testing.virtual_clock import on_virtual_clock


class PigeonOptions(Options):
    url: str
    tls: TlsClientOptions | None = None


def spec(url: str = "dns+pigeon://loft:7/base", **options: Any) -> BackendSpec:
    entry = BackendEntry(url=url)
    made = PigeonOptions(url=entry.plain_url or "", **options)
    registration: Registration[Any] = Registration(
        "backend", "pigeon", PigeonOptions, None, ("pigeons",)
    )
    return BackendSpec(entry, registration, made)


class RecordedBackends:
    """Plays OpenBackends, and records what is added and removed."""

    def __init__(self) -> None:
        self.present: dict[str, PooledBackend] = {}
        self.prepared: dict[PooledBackend, str] = {}
        self.refused: set[str] = set()
        self.opened = 0

    def has(self, backend_id: str) -> bool:
        return any(pooled.id == backend_id for pooled in self.present.values())

    async def add(self, spec: BackendSpec) -> PooledBackend:
        pooled = await self.prepare(spec, cast("BackendContext", None))
        self.offer(pooled)
        return pooled

    async def prepare(self, spec: BackendSpec, _context: BackendContext) -> PooledBackend:
        assert spec.entry.url is not None
        self.opened += 1
        if spec.id in self.refused:
            raise ConfigurationError("no feed")
        pooled = PooledBackend(spec.id, cast("Backend", None))
        self.prepared[pooled] = spec.entry.url
        return pooled

    def offer(self, pooled: PooledBackend) -> None:
        self.present[self.prepared.pop(pooled)] = pooled

    def discard(self, pooled: PooledBackend) -> None:
        del self.prepared[pooled]

    def remove(self, pooled: PooledBackend) -> None:
        [url] = [url for url, present in self.present.items() if present is pooled]
        del self.present[url]
        pooled.removed = True

    def drain(self, backend_id: str) -> None:
        [pooled] = [each for each in self.present.values() if each.id == backend_id]
        pooled.enabled = False

    def at(self, address: str) -> PooledBackend:
        return self.present[f"pigeon://{address}:7/base"]


class Names:
    """Plays the resolver, with answers by the test."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Collection[str] | Exception = addresses
        self.asked: list[str] = []
        self.hold = 0.0

    async def look_up(self, host: str) -> Collection[str]:
        self.asked.append(host)
        if isinstance(self.addresses, Exception):
            raise self.addresses
        if "forever" in self.addresses:
            await asyncio.Event().wait()
        return self.addresses


class Scene:
    """A discovery whose resolver and pool are played by the test."""

    def __init__(self, *addresses: str) -> None:
        self.names = Names(*addresses)
        self.backends = RecordedBackends()
        self.failures = Counter("failures", "")
        self.discovery = Discovery(
            spec(),
            cast("OpenBackends", self.backends),
            cast("SystemResolver", self.names),
            self.backends.drain,
            timeout=0.01,
            failures=self.failures,
            logger=logging.getLogger("test"),
        )

    async def look(self, *addresses: str) -> None:
        self.names.addresses = addresses
        await self.discovery.look()


async def test_each_address_gets_a_backend() -> None:
    scene = Scene()

    await scene.look("10.0.0.1", "fd00::1")

    assert scene.names.asked == ["loft"]
    assert set(scene.backends.present) == {"pigeon://10.0.0.1:7/base", "pigeon://[fd00::1]:7/base"}
    assert [one.id for one in scene.backends.present.values()] == [
        "loft-7-10-0-0-1",
        "loft-7-fd00--1",
    ]


async def test_new_addresses_join_and_others_stay_as_they_are() -> None:
    scene = Scene()
    await scene.look("10.0.0.1")
    first = scene.backends.at("10.0.0.1")

    await scene.look("10.0.0.1", "10.0.0.2")

    assert scene.backends.at("10.0.0.1") is first
    assert len(scene.backends.present) == 2


async def test_a_backend_whose_address_is_gone_is_drained_and_removed_when_it_is_empty() -> None:
    scene = Scene()
    await scene.look("10.0.0.1", "10.0.0.2")
    gone = scene.backends.at("10.0.0.2")
    gone.active = 2

    await scene.look("10.0.0.1")
    await scene.look("10.0.0.1")

    assert not gone.enabled
    assert scene.backends.at("10.0.0.2") is gone

    gone.active = 0
    await scene.look("10.0.0.1")

    assert set(scene.backends.present) == {"pigeon://10.0.0.1:7/base"}


async def test_an_address_that_comes_back_gets_sessions_again() -> None:
    scene = Scene()
    await scene.look("10.0.0.1", "10.0.0.2")
    wandering = scene.backends.at("10.0.0.2")
    wandering.active = 1
    await scene.look("10.0.0.1")

    await scene.look("10.0.0.1", "10.0.0.2")

    assert wandering.enabled
    assert scene.backends.at("10.0.0.2") is wandering


async def test_an_address_that_comes_back_after_its_removal_joins_anew() -> None:
    scene = Scene()
    await scene.look("10.0.0.1")
    await scene.look()
    await scene.look()
    assert not scene.backends.present

    await scene.look("10.0.0.1")

    assert scene.backends.at("10.0.0.1").enabled


@on_virtual_clock
async def test_a_missing_address_is_drained_after_the_hold() -> None:
    scene = Scene()
    scene.names.hold = 30.0
    await scene.look("10.0.0.1", "10.0.0.2")
    missing = scene.backends.at("10.0.0.2")
    missing.active = 1

    found = []
    for pause in (0, 29, 1):
        await asyncio.sleep(pause)
        await scene.look("10.0.0.1")
        found.append(missing.enabled)

    assert found == [True, True, False]
    assert scene.backends.at("10.0.0.1").enabled


@on_virtual_clock
async def test_an_address_seen_again_restarts_the_hold() -> None:
    scene = Scene()
    scene.names.hold = 30.0
    for _ in range(3):
        await scene.look("10.0.0.1", "10.0.0.2")
        await scene.look("10.0.0.1")
        await asyncio.sleep(29)

    assert scene.backends.at("10.0.0.2").enabled


@on_virtual_clock
async def test_one_answer_with_no_address_drains_nothing() -> None:
    scene = Scene()
    scene.names.hold = 30.0
    await scene.look("10.0.0.1", "10.0.0.2")

    await scene.look()

    assert all(backend.enabled for backend in scene.discovery.backends)


async def test_a_missing_address_is_kept_when_the_entry_changes() -> None:
    scene = Scene("10.0.0.1")
    scene.names.hold = 30.0

    known = ("10.0.0.1", "10.0.0.2")
    await scene.discovery.prepare(lambda _id: cast("BackendContext", None), known)
    scene.discovery.join()

    assert scene.discovery.addresses == known


@pytest.mark.parametrize(
    "failure",
    [BackendUnavailable("no such name"), OutOfResources("no name server"), ("forever",)],
)
async def test_a_name_that_cannot_be_resolved_changes_nothing(
    failure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    await scene.look("10.0.0.1")
    scene.names.addresses = failure

    await scene.discovery.look()
    await scene.discovery.look()

    assert scene.backends.at("10.0.0.1").enabled
    assert scene.failures.value == 2
    assert len([one for one in caplog.records if "cannot resolve its name" in one.message]) == 1


async def test_a_removed_backend_stays_away_while_its_address_stays() -> None:
    scene = Scene()
    await scene.look("10.0.0.1", "10.0.0.2")
    scene.backends.remove(scene.backends.at("10.0.0.2"))

    await scene.look("10.0.0.1", "10.0.0.2")

    assert set(scene.backends.present) == {"pigeon://10.0.0.1:7/base"}

    await scene.look("10.0.0.1")
    await scene.look("10.0.0.1")
    await scene.look("10.0.0.1", "10.0.0.2")

    assert scene.backends.at("10.0.0.2").enabled


async def test_a_disabled_backend_stays_disabled() -> None:
    scene = Scene()
    await scene.look("10.0.0.1")
    scene.backends.at("10.0.0.1").enabled = False

    await scene.look("10.0.0.1")

    assert not scene.backends.at("10.0.0.1").enabled


async def test_a_disabled_backend_stays_disabled_when_its_address_is_back() -> None:
    scene = Scene()
    await scene.look("10.0.0.1", "10.0.0.2")
    for backend in scene.discovery.backends:
        backend.active = 1
    by_operator, enabled = scene.discovery.backends
    by_operator.enabled = False
    await scene.look()
    assert scene.discovery.leaving == {enabled}

    await scene.look("10.0.0.1", "10.0.0.2")

    assert (by_operator.enabled, enabled.enabled) == (False, True)
    assert not scene.discovery.leaving


async def test_an_address_whose_id_is_taken_waits_and_logs_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    other = PooledBackend("loft-7-10-0-0-1", cast("Backend", None))
    scene.backends.present["pigeon://elsewhere:7"] = other

    for _ in range(3):
        await scene.look("10.0.0.1", "10.0.0.2")

    assert [one.id for one in scene.discovery.backends] == ["loft-7-10-0-0-2"]
    assert scene.backends.opened == 1
    assert scene.failures.value == 1
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        "backend loft-7-10-0-0-1: cannot be added while another backend has this id"
    ]

    await scene.look("10.0.0.2")
    await scene.look("10.0.0.1", "10.0.0.2")
    assert scene.failures.value == 2  # it has been away

    scene.backends.remove(other)
    await scene.look("10.0.0.1", "10.0.0.2")
    assert scene.backends.at("10.0.0.1").enabled


async def test_an_address_whose_id_is_taken_during_the_preparation_waits() -> None:
    scene = Scene("10.0.0.1", "10.0.0.2")
    await scene.discovery.prepare(lambda _id: cast("BackendContext", None))
    other = PooledBackend("loft-7-10-0-0-1", cast("Backend", None))
    scene.backends.present["pigeon://elsewhere:7"] = other

    scene.discovery.join()

    assert [one.id for one in scene.discovery.backends] == ["loft-7-10-0-0-2"]
    assert not scene.backends.prepared
    assert scene.failures.value == 1
    await scene.discovery.look()
    assert scene.failures.value == 1
    scene.backends.remove(other)
    await scene.discovery.look()
    assert len(scene.discovery.backends) == 2


async def test_a_backend_that_cannot_open_is_logged_and_tried_again() -> None:
    scene = Scene()
    scene.backends.refused = {"loft-7-10-0-0-1"}
    await scene.look("10.0.0.1", "10.0.0.2")
    assert set(scene.backends.present) == {"pigeon://10.0.0.2:7/base"}
    assert scene.failures.value == 1

    scene.backends.refused = set()
    await scene.look("10.0.0.1", "10.0.0.2")

    assert len(scene.backends.present) == 2


async def test_all_names_are_looked_up_repeatedly_despite_faults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene("10.0.0.1")
    discoveries = Discoveries(0.001, logging.getLogger("test"))

    await discoveries.start([scene.discovery])
    assert scene.backends.present
    scene.names.addresses = LookupError("a fault")
    async with asyncio.timeout(60):
        while len(caplog.records) < 2:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    scene.names.addresses = ("10.0.0.1", "10.0.0.2")
    async with asyncio.timeout(60):
        while len(scene.backends.present) < 2:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    await discoveries.close()
    asked = len(scene.names.asked)
    await asyncio.sleep(0.01)

    assert len(scene.names.asked) == asked


async def test_prepared_backends_join_or_are_discarded() -> None:
    scene = Scene("10.0.0.1", "10.0.0.2")

    await scene.discovery.prepare(lambda _id: cast("BackendContext", None))
    assert (len(scene.backends.prepared), scene.backends.present) == (2, {})
    scene.discovery.discard()
    assert not scene.backends.prepared

    await scene.discovery.prepare(lambda _id: cast("BackendContext", None))
    scene.discovery.join(disabled={"loft-7-10-0-0-2"})
    await scene.discovery.look()
    assert scene.backends.at("10.0.0.1").enabled
    assert not scene.backends.at("10.0.0.2").enabled


async def test_a_name_that_cannot_be_resolved_joins_later() -> None:
    scene = Scene()
    scene.names.addresses = BackendUnavailable("no such name")

    await scene.discovery.prepare(lambda _id: cast("BackendContext", None))
    scene.discovery.join()
    await scene.look("10.0.0.1")

    assert len(scene.backends.present) == 1


async def test_a_removed_name_is_not_looked_up_again() -> None:
    scene = Scene("10.0.0.1")
    discoveries = Discoveries(0.001, logging.getLogger("test"))
    discoveries.add(scene.discovery)
    assert discoveries.find("loft-7") is scene.discovery
    async with asyncio.timeout(60):
        while not scene.names.asked:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)

    discoveries.remove(scene.discovery)
    asked = len(scene.names.asked)
    await asyncio.sleep(0.01)

    assert len(scene.names.asked) == asked
    assert discoveries.find("loft-7") is None
    assert list(discoveries) == []


def test_a_discovered_backend_names_its_entry() -> None:
    assert spec().discovered_by == ""
    assert spec().at_address("10.0.0.1").discovered_by == "loft-7"


def test_over_tls_the_name_is_verified_and_not_the_address() -> None:
    plain = spec("dns+pigeons://joe:x@loft:7/").at_address("10.0.0.1")
    given = spec("dns+pigeons://loft:7", tls=TlsClientOptions(server_name="other", ca="/x"))

    assert plain.options == PigeonOptions(
        url="pigeons://joe:x@10.0.0.1:7/", tls=TlsClientOptions(server_name="loft")
    )
    assert given.at_address("10.0.0.1").options == PigeonOptions(
        url="pigeons://10.0.0.1:7", tls=TlsClientOptions(server_name="other", ca="/x")
    )


class RoomOptions(Options):
    url: UrlTemplate


def test_url_that_is_a_template_stays_one_at_each_address() -> None:
    registration: Registration[Any] = Registration("backend", "room", RoomOptions, None, ())
    entry = BackendEntry(url="dns+room://loft:7/{path.1}")
    named = BackendSpec(
        entry, registration, RoomOptions.model_validate({"url": "room://loft:7/{path.1}"})
    )

    options = named.at_address("10.0.0.1").options

    assert options == RoomOptions(url=UrlTemplate("room://10.0.0.1:7/{path.1}"))


@pytest.mark.parametrize("url", ["dns+ws://", "dns+ws://loft", "dns+ws://:7", "dns+loft:7"])
def test_a_name_and_a_port_are_needed(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        BackendEntry(url=url)
