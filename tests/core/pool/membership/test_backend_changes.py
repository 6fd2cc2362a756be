"""The backends of a new configuration replace others, all or none."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Collection
from typing import Any, cast

import pytest

from wsgw_core.api import (
    BackendConnection,
    BackendContext,
    BackendUnavailable,
    ConfigurationError,
    Counter,
    DialRequest,
    Options,
    Sink,
)
from wsgw_core.api.registry import Registration
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.plugins.plugin_specs import BackendSpec
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.membership.backend_changes import BackendChanges
from wsgw_core.pool.membership.deletions import Deletions
from wsgw_core.pool.membership.discovery import Discoveries, Discovery
from wsgw_core.pool.membership.open_backends import OpenBackends
from wsgw_core.pool.membership.system_resolver import SystemResolver
from wsgw_core.testing.context import make_context
from wsgw_core.testing.virtual_clock import on_virtual_clock


class PigeonOptions(Options):
    url: str
    feed: str = "corn"


opened: list[Pigeons] = []  # whatever became of them; a test clears it


class Pigeons:
    """A backend that records whether it is open."""

    def __init__(self, options: PigeonOptions, _context: BackendContext) -> None:
        self.options = options
        self.is_open = False

    async def open(self) -> None:
        if self.options.feed == "none":
            raise ConfigurationError("no feed")
        if self.options.feed == "late":
            await asyncio.sleep(1)
        self.is_open = True
        opened.append(self)

    async def connect(self, request: DialRequest, sink: Sink) -> BackendConnection:
        raise AssertionError("nobody connects")

    async def probe(self) -> None:
        pass

    async def close(self) -> None:
        self.is_open = False


def spec(url: str, backend_id: str, feed: str = "corn") -> BackendSpec:
    registration: Registration[Any] = Registration("backend", "pigeon", PigeonOptions, Pigeons, ())
    entry = BackendEntry(url=url, id=backend_id)
    return BackendSpec(entry, registration, PigeonOptions(url=entry.plain_url or "", feed=feed))


def plain(backend_id: str, feed: str = "corn") -> BackendSpec:
    return spec("pigeon://loft:7", backend_id, feed)


def named(backend_id: str, feed: str = "corn") -> BackendSpec:
    return spec("dns+pigeon://lofts:7", backend_id, feed)


def in_group(group: str, backend: BackendSpec) -> BackendSpec:
    return dataclasses.replace(backend, group=group)


def context_of(spec: BackendSpec) -> BackendContext:
    return make_context(spec.id)


class Scene:
    """The backends of a gateway, and a name whose addresses the test sets."""

    def __init__(self) -> None:
        logger = logging.getLogger("test")
        self.pool = BackendPool()
        self.backends = OpenBackends(self.pool, context_of, lambda _group: False, logger)
        self.discoveries = Discoveries(60, logger)
        self.deletions = Deletions()
        self.addresses: Collection[str] | None = ()  # None: it cannot be resolved
        self.answers_after = 0.0
        self.hold = 0.0
        self.drained: list[str] = []

    async def look_up(self, _host: str) -> Collection[str]:
        if self.addresses is None:
            raise BackendUnavailable("no resolver")
        await asyncio.sleep(self.answers_after)
        return self.addresses

    def drain(self, backend: PooledBackend) -> None:
        self.drained.append(backend.id)
        backend.enabled = False

    def discovery(self, spec: BackendSpec) -> Discovery:
        return Discovery(
            spec,
            self.backends,
            cast("SystemResolver", self),
            lambda backend_id: self.drain(self.at(backend_id)),
            timeout=1,
            failures=Counter("failures", ""),
            logger=logging.getLogger("test"),
        )

    async def prepare(self, new: list[BackendSpec], gone: list[BackendSpec]) -> BackendChanges:
        changes = BackendChanges(self.backends, self.discoveries, self.deletions, new, gone)
        await changes.prepare(context_of, self.discovery)
        return changes

    async def change(
        self,
        *new: BackendSpec,
        gone: list[BackendSpec],
        groups: Collection[str] | None = None,
    ) -> None:
        changes = await self.prepare(list(new), gone)
        changes.carry_out(self.drain, groups)

    def at(self, backend_id: str) -> PooledBackend:
        backend = self.pool.find(backend_id)
        assert backend is not None
        return backend

    @property
    def offered(self) -> list[str]:
        return [backend.id for backend in self.pool.backends]


async def test_new_backends_replace_those_with_the_same_id() -> None:
    scene = Scene()
    old = [plain("blue"), plain("green")]
    await scene.change(*old, gone=[])
    blue = scene.at("blue")

    await scene.change(plain("blue", "peas"), gone=old)

    assert scene.offered == ["blue"]
    assert scene.at("blue") is not blue
    assert scene.drained == ["green"]


async def test_a_backend_that_cannot_open_changes_nothing() -> None:
    scene = Scene()
    old = [plain("blue")]
    await scene.change(*old, gone=[])
    scene.addresses = ("10.0.0.1",)
    before = scene.pool.backends

    with pytest.raises(ConfigurationError, match="no feed"):
        await scene.prepare([plain("red"), named("all"), plain("blue", "none")], old)

    assert scene.pool.backends == before
    assert list(scene.discoveries) == []
    await scene.backends.close()


@pytest.mark.parametrize("make", [plain, named])
async def test_disabled_backends_stay_disabled(make: Any) -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1", "10.0.0.2")
    await scene.change(make("loft"), gone=[])
    disabled = scene.offered[0]
    scene.at(disabled).enabled = False

    await scene.change(make("loft", "peas"), gone=[make("loft")])

    assert not scene.at(disabled).enabled
    assert all(backend.enabled for backend in scene.pool.backends if backend.id != disabled)


@pytest.mark.parametrize("make", [plain, named])
async def test_a_deleted_entry_stays_deleted(make: Any) -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1",)
    old, new = [make("loft"), plain("blue")], [make("loft", "peas"), plain("blue", "peas")]
    scene.deletions.follow(old)
    await scene.change(plain("blue"), gone=[])
    scene.deletions.add("loft")

    await scene.change(*new, gone=old)

    assert scene.offered == ["blue"]
    assert list(scene.discoveries) == []
    await scene.backends.close()


async def test_an_entry_deleted_during_the_preparation_stays_deleted() -> None:
    scene = Scene()
    scene.deletions.follow([plain("blue")])
    await scene.change(plain("blue"), gone=[])
    changes = await scene.prepare([plain("blue", "peas")], [plain("blue")])
    scene.deletions.add("blue")
    scene.backends.remove(scene.at("blue"))

    changes.carry_out(scene.drain)

    assert scene.offered == []
    await scene.backends.close()


async def test_a_deleted_address_stays_deleted_until_it_was_gone() -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1", "10.0.0.2")
    await scene.change(named("loft"), gone=[])
    scene.backends.remove(scene.at("loft-10-0-0-1"))

    for old, new in [("corn", "peas"), ("peas", "rice")]:
        scene.addresses = None if new == "rice" else ("10.0.0.1", "10.0.0.2", "10.0.0.3")
        await scene.change(named("loft", new), gone=[named("loft", old)])
        assert scene.offered == ["loft-10-0-0-2", "loft-10-0-0-3"]
    [discovery] = scene.discoveries
    scene.addresses = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    await discovery.look()
    assert scene.offered == ["loft-10-0-0-2", "loft-10-0-0-3"]

    scene.addresses = ("10.0.0.2", "10.0.0.3")
    await discovery.look()
    scene.addresses = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    await discovery.look()

    assert scene.offered == ["loft-10-0-0-2", "loft-10-0-0-3", "loft-10-0-0-1"]
    await scene.backends.close()


@pytest.mark.parametrize("make", [plain, named])
async def test_sessions_stay_at_a_backend_whose_options_change(make: Any) -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1", "10.0.0.2")
    await scene.change(make("loft"), gone=[])
    for backend in scene.pool.backends:
        backend.active = 1
    scene.addresses = ("10.0.0.1",)

    await scene.change(make("loft", "peas"), gone=[make("loft")])

    assert scene.drained == (["loft-10-0-0-2"] if make is named else [])


async def test_a_name_that_cannot_be_resolved_keeps_its_addresses() -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1", "10.0.0.2")
    await scene.change(named("loft"), gone=[])
    scene.addresses = ("10.0.0.1",)
    scene.at("loft-10-0-0-2").active = 1
    [discovery] = scene.discoveries
    await discovery.look()
    scene.addresses = None

    other = spec("dns+pigeon://elsewhere:7", "other")
    await scene.change(named("loft", "peas"), other, gone=[named("loft")])

    assert scene.offered == ["loft-10-0-0-1"]


async def test_a_backend_disabled_for_its_missing_address_returns_with_it() -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1",)
    await scene.change(named("loft"), gone=[])
    scene.at("loft-10-0-0-1").active = 1
    scene.addresses = ()
    [discovery] = scene.discoveries
    await discovery.look()
    assert not scene.at("loft-10-0-0-1").enabled
    scene.addresses = ("10.0.0.1",)

    await scene.change(named("loft", "peas"), gone=[named("loft")])

    assert scene.at("loft-10-0-0-1").enabled


@pytest.mark.parametrize("new", [plain("loft"), named("loft"), plain("all-10-0-0-1")])
@pytest.mark.parametrize("present", [plain("loft"), named("loft")])
async def test_a_new_entry_with_an_id_in_use_is_refused(
    new: BackendSpec, present: BackendSpec
) -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1",)
    await scene.change(present, named("all"), gone=[])
    before = scene.pool.backends

    with pytest.raises(ConfigurationError, match=f"there is a backend '{new.id}' already"):
        await scene.change(new, gone=[])

    assert scene.pool.backends == before
    assert len(list(scene.discoveries)) == 1 + present.entry.discovered


async def test_a_new_entry_may_have_the_id_of_a_leaving_backend() -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1",)
    await scene.change(named("loft"), plain("blue"), gone=[])

    await scene.change(
        plain("loft-10-0-0-1"), plain("loft"), named("blue"), gone=[named("loft"), plain("blue")]
    )

    assert scene.offered == ["loft-10-0-0-1", "loft", "blue-10-0-0-1"]


async def test_an_address_whose_id_a_new_entry_has_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1", "10.0.0.2")

    await scene.change(named("loft"), plain("loft-10-0-0-1"), gone=[])

    assert scene.offered == ["loft-10-0-0-1", "loft-10-0-0-2"]
    assert "loft-10-0-0-1: cannot be added while another backend has this id" in caplog.text
    await scene.backends.close()


async def test_an_entry_removed_before_by_an_operator_is_no_error() -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1",)
    await scene.change(named("loft"), plain("blue"), gone=[])
    [discovery] = scene.discoveries
    scene.discoveries.remove(discovery)
    for backend in scene.pool.backends:
        scene.backends.remove(backend)

    await scene.change(plain("green"), gone=[named("loft"), plain("blue")])

    assert scene.offered == ["green"]
    await scene.backends.close()


async def test_a_backend_that_changes_its_group_drains_its_sessions() -> None:
    scene = Scene()
    old = [plain("blue"), plain("green")]
    await scene.change(*old, gone=[])

    await scene.change(in_group("own", plain("blue")), gone=[old[0]], groups=("", "own"))

    assert scene.drained == ["blue"]
    assert [(each.id, each.group) for each in scene.pool.backends] == [
        ("green", ""),
        ("blue", "own"),
    ]


async def test_added_backends_of_a_removed_group_are_removed() -> None:
    scene = Scene()
    scene.addresses = ("10.0.0.1",)
    await scene.change(plain("blue"), named("lofts"), gone=[])
    own = [in_group("own", one) for one in (plain("green"), named("nests"))]
    await scene.change(*own, gone=[])
    assert scene.offered == ["blue", "lofts-10-0-0-1", "green", "nests-10-0-0-1"]

    await scene.change(gone=[], groups=("",))

    assert scene.offered == ["blue", "lofts-10-0-0-1"]
    assert scene.drained == []
    assert {each.id for each in scene.pool.of_group("own")} == {"green", "nests-10-0-0-1"}
    assert [discovery.id for discovery in scene.discoveries] == ["lofts"]
    await scene.discoveries.close()


async def test_a_restored_group_takes_its_sessions_over() -> None:
    scene = Scene()
    await scene.change(plain("blue"), in_group("own", plain("green")), gone=[])
    green = scene.at("green")
    green.active = 1
    await scene.change(gone=[in_group("own", plain("green"))], groups=("",))
    assert (scene.drained, green.removed) == ([], False)

    await scene.change(in_group("own", plain("red")), gone=[], groups=("", "own"))

    assert (scene.drained, green.removed) == (["green"], True)
    assert [each.id for each in scene.pool.of_group("own")] == ["red"]


@on_virtual_clock
async def test_names_are_looked_up_in_parallel() -> None:
    scene = Scene()
    scene.addresses = ("192.0.2.1",)
    scene.answers_after = 0.5

    await scene.change(named("a"), named("b"), named("c"), gone=[])

    assert asyncio.get_running_loop().time() == 0.5
    assert scene.offered == ["a-192-0-2-1", "b-192-0-2-1", "c-192-0-2-1"]


@on_virtual_clock
async def test_one_backend_of_a_name_that_cannot_open_closes_all_others() -> None:
    scene = Scene()
    scene.addresses = ("192.0.2.1",)
    opened.clear()
    with pytest.raises(ConfigurationError, match="no feed"):
        await scene.change(named("a"), named("b", "none"), named("c", "late"), gone=[])
    assert scene.offered == []
    await scene.backends.close()
    await asyncio.sleep(5)  # one that opens late is closed as well
    assert [each.is_open for each in opened] == [False, False]
    assert len(asyncio.all_tasks()) == 1
