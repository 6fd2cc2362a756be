"""Objects of valves, listeners and gates live as long as their entries, or their sessions."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from wsgw_core.api import (
    ConfigurationError,
    Metrics,
    Options,
    PluginContext,
    PluginError,
    Session,
)
from wsgw_core.api.registry import Registration
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.plugins.open_plugins import OpenPlugins, PluginSet, plugin_entries
from wsgw_core.plugins.plugin_specs import PluginSpec, PluginSpecs
from wsgw_core.testing.samples import samples
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock


class Speed(Options):
    speed: int = 1
    broken: bool = False
    hangs: bool = False
    close_fails: bool = False


class Counting:
    """A valve that tells what is done with it."""

    def __init__(self, options: Speed, context: PluginContext) -> None:
        self.options = options
        self.log: list[str] = []
        context.metrics.gauge("open", "Objects.", lambda: 1)

    async def open(self) -> None:
        self.log.append("opened")
        if self.options.speed < 0:
            raise TimeoutError("its own")
        if self.options.hangs:
            await asyncio.sleep(1000)
        if self.options.broken:
            raise ConfigurationError("no road")

    async def close(self) -> None:
        self.log.append("closed")
        if self.options.close_fails:
            raise LookupError("out of pigeons")
        if self.options.hangs:
            await asyncio.sleep(1000)

    def for_session(self, _session: Session) -> Any:
        raise AssertionError("there are no sessions")


def spec_of(role: str, factory: Any, route: str = "", **options: Any) -> PluginSpec:
    registration: Registration[Any] = Registration(role, "counting", Speed, factory, ())
    return PluginSpec(registration, Speed(**options), route)


def entry(route: str = "", factory: Any = Counting, **options: Any) -> PluginSpec:
    return spec_of("valve", factory, route, **options)


class Scene:
    """Some configurations, one after the other, and which of them have sessions."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.with_sessions: set[PluginSet] = set()
        self.plugins = OpenPlugins(
            lambda kind: PluginContext(
                asyncio.get_running_loop(), logging.getLogger("wsgw"), self.metrics.of(kind)
            ),
            self.with_sessions.__contains__,
            10.0,
            logging.getLogger("wsgw"),
        )

    async def configure(self, *entries: PluginSpec) -> tuple[PluginSet, list[Counting]]:
        prepared = await self.plugins.prepare(entries)
        self.plugins.use(prepared)
        return prepared, [prepared.of(each) for each in entries]


@on_virtual_clock
async def test_object_is_opened_before_it_is_used_and_closed_at_the_end() -> None:
    scene = Scene()
    _, [valve] = await scene.configure(entry())
    assert valve.log == ["opened"]
    assert samples(scene.metrics) == {"wsgw_counting_open": 1}

    await scene.plugins.close()

    assert valve.log == ["opened", "closed"]
    assert samples(scene.metrics) == {}
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_entry_that_is_unchanged_keeps_its_object() -> None:
    scene = Scene()
    _, first = await scene.configure(entry(), entry("eu"), entry(speed=2))

    _, second = await scene.configure(entry(speed=2), entry("eu"), entry())
    await asyncio.sleep(5)

    assert second == [first[2], first[1], first[0]]
    assert [valve.log for valve in first] == [["opened"]] * 3


@on_virtual_clock
async def test_equal_entries_have_an_object_each() -> None:
    scene = Scene()
    _, [one, other] = await scene.configure(entry(), entry())
    assert one is not other

    _, [kept] = await scene.configure(entry())
    await asyncio.sleep(5)

    assert kept is one
    assert (one.log, other.log) == (["opened"], ["opened", "closed"])


@on_virtual_clock
async def test_replaced_object_is_closed_when_its_sessions_have_ended() -> None:
    scene = Scene()
    first, [old] = await scene.configure(entry())
    scene.with_sessions.add(first)

    second, [new] = await scene.configure(entry(speed=2))
    await asyncio.sleep(100)
    assert (old.log, new.log) == (["opened"], ["opened"])
    scene.with_sessions.add(second)
    await scene.configure()
    scene.with_sessions.remove(first)
    await asyncio.sleep(2)
    assert (old.log, new.log) == (["opened", "closed"], ["opened"])
    scene.with_sessions.remove(second)
    await asyncio.sleep(2)
    assert new.log == ["opened", "closed"]
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_object_kept_over_reloads_lives_while_sessions_of_any_of_them_do() -> None:
    scene = Scene()
    first, [valve] = await scene.configure(entry())
    await scene.configure(entry(), entry(speed=2))
    scene.with_sessions.add(first)
    await scene.configure(entry(speed=2))
    await asyncio.sleep(10)
    assert valve.log == ["opened"]

    scene.with_sessions.clear()
    await asyncio.sleep(2)

    assert valve.log == ["opened", "closed"]


@on_virtual_clock
async def test_many_reloads_leave_nothing_behind() -> None:
    scene = Scene()
    made = [(await scene.configure(entry(speed=number)))[1][0] for number in range(50)]
    await asyncio.sleep(5)
    assert [valve.log for valve in made[:-1]] == [["opened", "closed"]] * 49
    assert samples(scene.metrics) == {"wsgw_counting_open": 1}
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_close_does_not_wait_for_sessions() -> None:
    scene = Scene()
    first, [old] = await scene.configure(entry())
    scene.with_sessions.add(first)
    _, [new] = await scene.configure(entry(speed=2))

    await scene.plugins.close()

    assert old.log == new.log == ["opened", "closed"]


@on_virtual_clock
async def test_configuration_that_cannot_be_opened_changes_nothing() -> None:
    scene = Scene()
    _, [valve] = await scene.configure(entry())
    made: list[Counting] = []

    def factory(options: Speed, context: PluginContext) -> Counting:
        made.append(Counting(options, context))
        return made[-1]

    with pytest.raises(ConfigurationError, match="no road") as failed:
        await scene.plugins.prepare(
            [entry(), entry("a", factory, speed=2), entry("b", factory, broken=True)]
        )
    await idle()

    assert failed.value.__notes__ == ["valve, kind 'counting'"]
    assert valve.log == ["opened"]
    assert [each.log for each in made] == [["opened", "closed"]] * 2
    assert samples(scene.metrics) == {"wsgw_counting_open": 1}


@on_virtual_clock
async def test_open_that_hangs_is_a_configuration_error_after_a_minute() -> None:
    with pytest.raises(
        ConfigurationError, match="valve, kind 'counting': its open\\(\\) took longer"
    ):
        await Scene().plugins.prepare([entry(hangs=True)])
    assert asyncio.get_running_loop().time() == 60


@on_virtual_clock
async def test_timeout_raised_by_open_is_passed_on() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        await Scene().plugins.prepare([entry(speed=-1)])


@pytest.mark.parametrize("fault", ["hangs", "close_fails"])
@on_virtual_clock
async def test_failing_close_is_logged_and_others_are_closed(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    if fault == "hangs":
        _, [valve] = await scene.configure(entry())
        valve.options = Speed(hangs=True)
    else:
        _, [valve] = await scene.configure(entry(close_fails=True))
    _, [other] = await scene.configure(entry(speed=2))

    await scene.plugins.close()

    assert other.log == ["opened", "closed"]
    [message] = caplog.messages
    assert message.startswith("valve, kind 'counting': ")
    assert samples(scene.metrics) == {}


class Unready(Counting):
    def close(self) -> None:  # type: ignore[override]  # an author's mistake
        pass


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        (lambda *_: object(), "its factory returned object, which lacks for_session"),
        (Unready, "Unready.close is not an async function"),
    ],
)
@on_virtual_clock
async def test_object_that_is_not_a_valve_is_reported(factory: Any, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        await Scene().plugins.prepare([entry("", factory)])


def test_unused_entries_have_no_object() -> None:
    valve, own = entry(speed=1), entry("eu", speed=2)
    listener, gate = spec_of("listener", Counting), spec_of("gate", Counting)
    routes_own = (PluginSpecs((), (own,)), PluginSpecs(()))

    def entries(*routes: dict[str, Any]) -> list[PluginSpec]:
        config = GatewayConfig.model_validate(
            {"upstream": {"backends": [{"url": "ws://a:1"}]}, "routes": list(routes)}
        )
        used = PluginSpecs((), (valve,), (listener,), (gate,), routes_own[: len(routes)])
        return list(plugin_entries(config, used))

    some = [{"kind": "counting"}]
    assert entries() == [listener, gate, valve]
    assert entries(
        {"id": "eu", "paths": ["/eu"], "valves": some, "gates": []},
        {"id": "us", "valves": [], "gates": []},
    ) == [listener, own]
    assert entries({"id": "eu", "paths": ["/eu"], "valves": some}, {"id": "us"}) == [
        listener,
        gate,
        valve,
        own,
    ]
