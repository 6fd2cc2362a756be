"""Files and doubtful values are checked everywhere in a configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from wsgw_core.api import Limits, Options
from wsgw_core.api.registry import Registration
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import KeyPath, Origins
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.loading.references import file_problems, option_warnings
from wsgw_core.plugins.plugin_specs import BackendSpec, PluginSpec, PluginSpecs


class Inner(Options):
    word_list: str

    def file_problems(self) -> Iterable[tuple[str, str]]:
        if not Path(self.word_list).is_file():
            yield "word-list", f"{self.word_list}: is not there"

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        if len(self.word_list) > limits.max_fragments:
            yield "word-list", "is very long"


class Outer(Options):
    inner: Inner | None = None
    more_of_them: tuple[Inner, ...] = ()


MISSING = Outer.model_validate({"inner": {"word-list": "/no/a"}})
WITHOUT = Outer()


def registration(role: str) -> Registration[Any]:
    return Registration(role, "scripted", Outer, lambda *_: None, ())


def plugin_specs(role: str, entries: tuple[Outer, ...]) -> tuple[PluginSpec, ...]:
    return tuple(PluginSpec(registration(role), options) for options in entries)


def configured(
    backends: tuple[Outer, ...] = (),
    valves: tuple[Outer, ...] = (),
    listeners: tuple[Outer, ...] = (),
    gates: tuple[Outer, ...] = (),
) -> PluginSpecs:
    return PluginSpecs(
        backends=tuple(
            BackendSpec(
                BackendEntry(kind="scripted", id=f"b{number}"), registration("backend"), options
            )
            for number, options in enumerate(backends)
        ),
        valves=plugin_specs("valve", valves),
        listeners=plugin_specs("listener", listeners),
        gates=plugin_specs("gate", gates),
    )


def problems(
    specs: PluginSpecs, known: dict[KeyPath, str] | None = None, **server: Any
) -> list[str]:
    config = GatewayConfig.model_validate(
        {"server": server, "upstream": {"backends": [{"url": "ws://a"}]}}
    )
    return file_problems(config, specs, Origins(known))


@pytest.mark.parametrize("section", ["backends", "valves", "listeners", "gates"])
def test_files_of_all_plugins_are_checked(section: str) -> None:
    specs = configured(**{section: (WITHOUT, MISSING)})
    path = "upstream.backends" if section == "backends" else section
    assert problems(specs) == [f"{path}[1].inner.word-list: /no/a: is not there"]


@pytest.mark.parametrize("section", ["backends", "valves", "gates"])
def test_files_of_routes_are_checked(section: str) -> None:
    specs = PluginSpecs((), routes=(configured(), configured(**{section: (WITHOUT, MISSING)})))
    assert problems(specs) == [f"routes[1].{section}[1].inner.word-list: /no/a: is not there"]


def test_files_of_the_gateway_are_checked() -> None:
    (problem,) = problems(
        configured(), frontend={"tls": {"certificate": "/no/cert.pem", "key": "/no/key.pem"}}
    )
    assert problem.startswith("server.frontend.tls.certificate: /no/cert.pem: cannot be read")


def test_sections_in_lists_are_named_by_number(tmp_path: Path) -> None:
    there = tmp_path / "words"
    there.touch()
    options = Outer.model_validate(
        {"more-of-them": [{"word-list": name} for name in (str(there), "/no/b", "/no/c")]}
    )
    assert problems(configured(gates=(options,))) == [
        "gates[0].more-of-them[1].word-list: /no/b: is not there",
        "gates[0].more-of-them[2].word-list: /no/c: is not there",
    ]


def test_each_file_problem_names_its_place() -> None:
    known: dict[KeyPath, str] = {
        ("upstream", "backends", 0): "wsgw.yaml:3",
        ("upstream", "backends", 0, "inner", "word-list"): "wsgw.yaml:5",
    }
    assert problems(configured(backends=(MISSING,)), known) == [
        "wsgw.yaml:5: upstream.backends[0].inner.word-list: /no/a: is not there"
    ]


def test_configuration_without_files_has_no_problem() -> None:
    everywhere = (WITHOUT,)
    assert problems(configured(everywhere, everywhere, everywhere, everywhere)) == []


def test_warnings_name_their_places() -> None:
    specs = configured(backends=(WITHOUT, MISSING), gates=(MISSING,))
    config = GatewayConfig.model_validate(
        {"upstream": {"backends": [{"url": "ws://a"}]}, "limits": {"max-fragments": 4}}
    )
    known: dict[KeyPath, str] = {("gates", 0): "wsgw.yaml:7"}
    assert option_warnings(config, specs, Origins(known)) == [
        "upstream.backends[1].inner.word-list: is very long",
        "wsgw.yaml:7: gates[0].inner.word-list: is very long",
    ]
    patient = config.model_copy(
        update={"limits": config.limits.model_copy(update={"max_fragments": 5})}
    )
    assert option_warnings(patient, specs, Origins(known)) == []


def backend_spec(kind: str, *, connectionless: bool) -> BackendSpec:
    one: Registration[Any] = Registration(
        "backend", kind, Outer, lambda *_: None, (), connectionless=connectionless
    )
    return BackendSpec(BackendEntry(kind=kind, id=kind), one, WITHOUT)


def valve_spec(kind: str, *, needs_connection: bool) -> PluginSpec:
    one: Registration[Any] = Registration(
        "valve", kind, Outer, lambda *_: None, (), needs_connection=needs_connection
    )
    return PluginSpec(one, WITHOUT)


SOCKETS = backend_spec("sockets", connectionless=False)
QUEUE, TOPIC = (backend_spec(kind, connectionless=True) for kind in ("queue", "topic"))
CALLS = valve_spec("calls", needs_connection=False)
CHAT = valve_spec("chat", needs_connection=True)
NEEDED = "its protocol needs a server with a connection for each client; backends of kind"


@pytest.mark.parametrize(
    ("backends", "valves", "warnings"),
    [
        ((SOCKETS,), (CHAT,), []),
        ((QUEUE,), (CALLS,), []),
        ((), (CHAT,), []),
        ((QUEUE, SOCKETS), (CALLS, CHAT), [f"valves[1].kind: {NEEDED} queue have none"]),
        ((TOPIC, QUEUE, TOPIC), (CHAT,), [f"valves[0].kind: {NEEDED} queue, topic have none"]),
    ],
)
def test_valves_that_need_connections_warn_of_backends_without_any(
    backends: tuple[BackendSpec, ...], valves: tuple[PluginSpec, ...], warnings: list[str]
) -> None:
    config = GatewayConfig.model_validate({"upstream": {"backends": [{"url": "ws://a"}]}})
    specs = PluginSpecs(backends, valves)
    assert option_warnings(config, specs, Origins()) == warnings


def test_valves_of_a_route_warn_of_the_backends_of_this_route() -> None:
    def backends(host: str) -> dict[str, Any]:
        return {"backends": [{"url": f"ws://{host}"}]}

    valve: dict[str, Any] = {"valves": [{"kind": "chat"}]}
    routes = [
        {"id": "shares-both", "paths": ["/a"]},
        {"id": "own-backends", "paths": ["/b"], **backends("b")},
        {"id": "own-valves", "paths": ["/c"], **valve},
        {"id": "own", "paths": ["/d"], **backends("d"), **valve},
        {"id": "fits", **backends("e"), **valve},
    ]
    config = GatewayConfig.model_validate(
        {
            "upstream": {"backends": [{"url": "ws://a"}]},
            "valves": [{"kind": "chat"}],
            "routes": routes,
        }
    )
    specs = PluginSpecs(
        (SOCKETS,),
        (CHAT,),
        routes=(
            PluginSpecs(()),
            PluginSpecs((QUEUE,)),
            PluginSpecs((), (CHAT,)),
            PluginSpecs((TOPIC,), (CHAT,)),
            PluginSpecs((SOCKETS,), (CHAT,)),
        ),
    )
    assert option_warnings(config, specs, Origins()) == [
        f"valves[0].kind: {NEEDED} queue have none",
        f"routes[3].valves[0].kind: {NEEDED} topic have none",
    ]
