"""Entries are resolved to registered kinds and checked options."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, field_validator

from wsgw_core.api import (
    BackendRegistry,
    ConfigurationError,
    Duration,
    GateRegistry,
    ListenerRegistry,
    Options,
    ValveRegistry,
    hookimpl,
)
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import Origins
from wsgw_core.plugins.entries import Entries
from wsgw_core.plugins.loader import Plugins, RequiredPlugin
from wsgw_core.plugins.plugin_specs import resolve_entries, resolve_specs


class PigeonOptions(Options):
    url: str
    ping_time: Duration = 10.0
    password: SecretStr | None = None


class PlainOptions(Options):
    speed: int = 1


class FaultyOptions(Options):
    speed: int = 1

    @field_validator("speed")
    @classmethod
    def _check(cls, value: int) -> int:
        raise LookupError(f"no table for {value}")


def make(_options: Any, _context: Any) -> Any:
    raise AssertionError("a factory is not called before the start")


class Everything:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_backends(self, registry: BackendRegistry) -> None:
        registry.add("pigeon", PigeonOptions, make, schemes=("pigeons",))
        registry.add("plain", PlainOptions, make)

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("filter", PlainOptions, make)
        registry.add("faulty", FaultyOptions, make)

    @hookimpl
    def wsgw_register_listeners(self, registry: ListenerRegistry) -> None:
        registry.add("audit", PlainOptions, make)

    @hookimpl
    def wsgw_register_gates(self, registry: GateRegistry) -> None:
        registry.add("door", PlainOptions, make)


@pytest.fixture
def plugins() -> Plugins:
    plugins = Plugins()
    plugins.register(Everything(), "everything")
    return plugins


def config(**sections: Any) -> GatewayConfig:
    sections.setdefault("upstream", {"backends": [{"kind": "plain", "id": "a"}]})
    return GatewayConfig.model_validate(sections)


def backends(*entries: dict[str, Any]) -> GatewayConfig:
    return config(upstream={"backends": entries})


def problems_of(config: GatewayConfig, plugins: Plugins) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        resolve_specs(config, plugins)
    return list(caught.value.problems)


def test_a_backend_is_found_by_kind_or_scheme_and_given_its_url(plugins: Plugins) -> None:
    specs = resolve_specs(
        backends(
            {"url": "pigeon://loft:1/x", "ping-time": "1m"},
            {"url": "pigeons://loft:2", "id": "second"},
            {"url": "https://loft:3", "kind": "pigeon"},
        ),
        plugins,
    )

    assert [one.id for one in specs.backends] == ["loft-1", "second", "loft-3"]
    assert {one.registration.kind for one in specs.backends} == {"pigeon"}
    assert [one.options for one in specs.backends] == [
        PigeonOptions(url="pigeon://loft:1/x", ping_time=60.0),
        PigeonOptions(url="pigeons://loft:2"),
        PigeonOptions(url="https://loft:3"),
    ]


def test_kind_without_url_option_gets_no_url(plugins: Plugins) -> None:
    specs = resolve_specs(backends({"kind": "plain", "url": "plain://b:1", "speed": 3}), plugins)

    [backend] = specs.backends
    assert backend.id == "b-1"
    assert backend.options == PlainOptions(speed=3)


def test_a_name_whose_addresses_are_looked_up_needs_a_kind_with_a_url(plugins: Plugins) -> None:
    specs = resolve_specs(backends({"url": "dns+pigeon://loft:1", "id": "a"}), plugins)

    assert specs.backends[0].options == PigeonOptions(url="pigeon://loft:1")
    assert problems_of(backends({"url": "dns+plain://loft:1"}), plugins) == [
        "upstream.backends[0].url: kind 'plain' has no URL in which an address could stand"
    ]


def test_valves_listeners_and_gates_keep_their_order(plugins: Plugins) -> None:
    specs = resolve_specs(
        config(
            valves=[
                {"kind": "filter", "speed": 5, "on-error": "discard"},
                {"kind": "filter", "speed": 6},
            ],
            listeners=[{"kind": "audit", "speed": 7}],
            gates=[{"kind": "door", "speed": 9}, {"kind": "door", "speed": 8}],
        ),
        plugins,
    )

    assert [one.options for one in specs.valves] == [
        PlainOptions(speed=5),
        PlainOptions(speed=6),
    ]
    assert [one.on_error for one in specs.valves] == ["discard", "close"]
    assert [one.options for one in specs.listeners] == [PlainOptions(speed=7)]
    assert [one.options for one in specs.gates] == [
        PlainOptions(speed=9),
        PlainOptions(speed=8),
    ]
    assert specs.gates[0].registration is plugins.gates.find("door")


def test_unknown_option_names_key_path_and_nearest_name(plugins: Plugins) -> None:
    problems = problems_of(
        backends({"kind": "plain", "id": "a"}, {"url": "pigeon://b:1", "ping_tim": "1s"}), plugins
    )

    assert problems == [
        "upstream.backends[1].ping_tim: unknown key 'ping_tim'; did you mean 'ping-time'?"
    ]


def test_invalid_option_names_value_and_what_is_allowed(plugins: Plugins) -> None:
    problems = problems_of(config(valves=[{"kind": "filter", "speed": "fast"}]), plugins)

    assert problems == ["valves[0].speed: found 'fast', allowed: a whole number"]


def test_all_problems_of_all_sections_are_reported_together(plugins: Plugins) -> None:
    problems = problems_of(
        config(
            upstream={"backends": [{"url": "pigon://a:1"}, {"kind": "plain", "id": "b", "x": 1}]},
            valves=[{"kind": "filtr"}],
            listeners=[{"kind": "audit", "speed": "x"}],
            gates=[{"kind": "audit"}],
        ),
        plugins,
    )

    assert [problem.partition(": ")[0] for problem in problems] == [
        "upstream.backends[0].url",
        "upstream.backends[1].x",
        "valves[0].kind",
        "listeners[0].speed",
        "gates[0].kind",
    ]
    assert problems[0].endswith(
        "no plugin registers backend scheme 'pigon'; did you mean 'pigeon'?"
    )
    assert problems[2].endswith("no plugin registers valve kind 'filtr'; did you mean 'filter'?")
    assert "gate kind 'audit'" in problems[4]


def test_kind_of_another_role_names_its_role_and_section(plugins: Plugins) -> None:
    valve, gate = problems_of(
        config(valves=[{"kind": "pigeon"}], gates=[{"kind": "audit"}]), plugins
    )

    assert valve.endswith("'pigeon'; 'pigeon' is a backend, configured in 'upstream.backends'")
    assert gate.endswith("'audit'; 'audit' is a listener, configured in 'listeners'")


def test_missing_url_is_reported(plugins: Plugins) -> None:
    assert problems_of(backends({"kind": "pigeon", "id": "a"}), plugins) == [
        "upstream.backends[0].url: is missing"
    ]


def test_failing_options_model_is_reported_with_its_plugin(plugins: Plugins) -> None:
    [problem] = problems_of(config(valves=[{"kind": "faulty", "speed": 3}]), plugins)

    assert problem.startswith("valves[0]: the plugin of valve kind 'faulty'")
    assert "LookupError: no table for 3" in problem


def test_problems_show_no_secret(plugins: Plugins) -> None:
    [problem] = problems_of(
        backends({"url": "pigeon://b:1", "password": ["hush"], "ping-time": 1}), plugins
    )

    assert problem.startswith("upstream.backends[0].password: found ")
    assert "hush" not in problem


def test_problems_name_the_place_of_the_entry(plugins: Plugins) -> None:
    origins = Origins({("valves",): "wsgw.yaml:3", ("valves", 0, "speed"): "wsgw.yaml:5"})

    entries = Entries.of(config(valves=[{"kind": "filter", "speed": "x"}, {"kind": "x"}]))
    _, problems = resolve_entries(entries, plugins, origins)

    assert [problem.partition(" ")[0] for problem in problems] == ["wsgw.yaml:5:", "wsgw.yaml:3:"]


def test_missing_plugin_is_reported_once(plugins: Plugins) -> None:
    entries = Entries.of(config(valves=[{"kind": "x"}, {"kind": "filter", "speed": "x"}]))

    specs, [problem] = resolve_entries(entries, plugins, Origins(), {"x"})

    assert problem.startswith("valves[1].speed: found 'x'")
    assert len(specs.backends) == 1


def test_valid_entries_of_an_invalid_configuration_are_found(plugins: Plugins) -> None:
    data: dict[str, Any] = {
        "upstream": {"backends": [{"id": "!"}, {"url": "pigeon://a:1", "ping_tim": 1}, 5]},
        "valves": [{}, {"kind": "filter", "x": 1}],
        "gates": "none",
    }

    _, problems = resolve_entries(Entries.usable_in(data), plugins, Origins())

    assert [problem.partition(": ")[0] for problem in problems] == [
        "upstream.backends[1].ping_tim",
        "valves[1].x",
    ]
    assert Entries.usable_in({}).required_plugins(Origins()) == ()
    assert Entries.usable_in({"upstream": [5]}).required_plugins(Origins()) == ()


def test_entries_of_routes_are_resolved_separately(plugins: Plugins) -> None:
    specs = resolve_specs(
        config(
            valves=[{"kind": "filter", "speed": 1}],
            routes=[
                {
                    "id": "own",
                    "paths": ["/own"],
                    "backends": [{"url": "pigeon://b:1"}, {"url": "dns+pigeon://c:1"}],
                    "valves": [{"kind": "filter", "speed": 2, "on-error": "discard"}],
                    "gates": [{"kind": "door", "speed": 3}],
                },
                {"id": "rest", "valves": []},
            ],
        ),
        plugins,
    )

    own, rest = specs.routes
    assert [(one.id, one.group) for one in specs.all_backends] == [
        ("a", ""),
        ("b-1", "own"),
        ("c-1", "own"),
    ]
    assert own.backends[1].at_address("192.0.2.1").group == "own"
    assert [(one.options, one.on_error) for one in own.valves] == [
        (PlainOptions(speed=2), "discard")
    ]
    assert [one.options for one in own.gates] == [PlainOptions(speed=3)]
    assert (rest.backends, rest.valves, rest.gates) == ((), (), ())
    assert [one.options for one in specs.valves] == [PlainOptions(speed=1)]


def test_problems_of_routes_name_their_place(plugins: Plugins) -> None:
    made = config(
        routes=[
            {
                "id": "own",
                "backends": [{"url": "dove://b:1"}, {"url": "pigeon://c:1", "ping-tim": 1}],
                "valves": [{"kind": "x"}],
                "gates": [{"kind": "door", "speed": "x"}],
            }
        ],
        upstream={},
    )

    places = [problem.partition(": ")[0] for problem in problems_of(made, plugins)]

    assert places == [
        "routes[0].backends[0].url",
        "routes[0].backends[1].ping-tim",
        "routes[0].valves[0].kind",
        "routes[0].gates[0].speed",
    ]
    assert [one.where for one in Entries.of(made).required_plugins(Origins())] == [
        "routes[0].backends[0].url",
        "routes[0].backends[1].url",
        "routes[0].valves[0].kind",
        "routes[0].gates[0].kind",
    ]
    data: dict[str, Any] = {"routes": [5, {"backends": [{"url": "dove://b:1"}, 6], "gates": 7}]}
    [required] = Entries.usable_in(data).required_plugins(Origins())
    assert required == RequiredPlugin("dove", "scheme", "routes[1].backends[0].url")


def test_required_plugins_are_the_names_in_the_configuration_each_once() -> None:
    entries = Entries.of(
        config(
            upstream={
                "backends": [
                    {"url": "pigeons://a:1"},
                    {"url": "pigeons://b:1"},
                    {"kind": "plain", "url": "pigeon://c:1"},
                ]
            },
            valves=[{"kind": "filter"}, {"kind": "filter"}],
            listeners=[{"kind": "audit"}],
            gates=[{"kind": "door"}],
        )
    )
    required = entries.required_plugins(Origins({("valves", 0): "wsgw.yaml:9"}))

    assert required == (
        RequiredPlugin("pigeons", "scheme", "upstream.backends[0].url"),
        RequiredPlugin("plain", "kind", "upstream.backends[2].kind"),
        RequiredPlugin("filter", "kind", "wsgw.yaml:9: valves[0].kind"),
        RequiredPlugin("audit", "kind", "listeners[0].kind"),
        RequiredPlugin("door", "kind", "gates[0].kind"),
    )
