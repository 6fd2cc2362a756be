"""Options with which no client can be served are errors, wherever the value gets lost."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from pydantic import Field, ValidationError

from wsgw_core.api import Options, Subprotocols, Template
from wsgw_core.api.registry import Registration
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import Origins
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.loading.missing_values import missing_values
from wsgw_core.plugins.plugin_specs import BackendSpec, PluginSpec, PluginSpecs

BLOCKED = "`server.block-headers` removes it"


class Queue(Options):
    """A backend, or a gate of which wsgw does not know what it changes."""

    name: Template | None = None
    more: tuple[Template, ...] = ()
    by_name: dict[str, Template] = Field(default={})
    subprotocols: Subprotocols = Subprotocols("first")


class Gate(Queue):
    """A gate that says what it changes."""

    sets: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()

    def changed_values(self) -> tuple[Collection[str], Collection[str]]:
        return self.sets, self.removes


def queue(name: str | None = None, **more: Any) -> BackendSpec:
    registration: Registration[Any] = Registration("backend", "queue", Queue, lambda *_: None, ())
    entry = BackendEntry(kind="queue", id="queue")
    return BackendSpec(entry, registration, Queue.model_validate({"name": name, **more}))


def gate(model: type[Options] = Gate, **options: Any) -> PluginSpec:
    registration: Registration[Any] = Registration("gate", "gate", model, lambda *_: None, ())
    return PluginSpec(registration, model.model_validate(options))


def problems(
    backend: BackendSpec, *gates: PluginSpec, routes: Any = (), own: Any = (), **server: Any
) -> list[str]:
    config = GatewayConfig.model_validate(
        {"server": server, "upstream": {"backends": [{"url": "ws://a"}]}, "routes": routes}
    )
    specs = PluginSpecs((backend,), gates=gates, routes=tuple(own))
    found = missing_values(config, specs, Origins())
    begin = "upstream.backends[0].name: no client could be served: "
    return [each.removeprefix(begin) for each in found]


@pytest.mark.parametrize(
    ("field", "server", "why"),
    [
        ("header.X-A", {"block-headers": ["x-a"]}, BLOCKED),
        ("header.X_A", {"block-headers": ["X-A"]}, BLOCKED),
        ("cookie.team", {"block-headers": ["Cookie"]}, BLOCKED),
        ("header.X-Forwarded-For", {"block-headers": ["X-Forwarded-For"]}, BLOCKED),
        ("header.X-Balancer-Reconnect", {}, "wsgw sends it only at a failover"),
        ("header.X-Wsgw-Replayed", {}, "wsgw sends it only at a failover"),
        ("header.X-Real-IP", {}, "wsgw passes it on only from `server.trusted-proxies`"),
        ("header.Forwarded", {}, "wsgw passes it on only from `server.trusted-proxies`"),
        ("route", {}, "there are no `routes`"),
    ],
)
def test_template_without_its_value_is_a_problem(
    field: str, server: dict[str, Any], why: str
) -> None:
    assert problems(queue(f"{{{field}}}"), **server) == [f"{field} is missing: {why}"]
    assert problems(queue(f"{{{field}|none}}"), **server) == []


@pytest.mark.parametrize(
    ("field", "server"),
    [
        ("header.X-A", {}),
        ("header.X-A", {"block-headers": ["X_A"]}),
        ("cookie.team", {"block-headers": ["X-A"]}),
        ("header.X-Forwarded-For", {}),
        ("header.X-Real-IP", {"trusted-proxies": ["10.0.0.0/8"]}),
        ("header.Forwarded", {"forwarded": True}),
        ("header.X-Wsgw-Session", {}),
        ("subprotocol", {}),
    ],
)
def test_template_whose_value_some_clients_have_is_none(field: str, server: dict[str, Any]) -> None:
    assert problems(queue(f"{{{field}}}"), **server) == []


def test_templates_in_lists_and_sections_are_found() -> None:
    backend = queue(more=["a", "{route}"], by_name={"a": "{route}"})
    assert problems(backend) == [
        f"upstream.backends[0].{key}: no client could be served: route is missing: there are no"
        " `routes`"
        for key in ("more", "by-name")
    ]


def test_subprotocol_is_missing_if_the_backend_takes_none() -> None:
    (found,) = problems(queue("{subprotocol}", subprotocols="none"))
    assert found == "subprotocol is missing: `subprotocols` is none"


def test_value_that_a_gate_sets_is_there() -> None:
    backend, blocked = queue("{header.X-User}"), {"block-headers": ["X-User"]}
    assert problems(backend, **blocked)
    assert problems(backend, gate(sets=("header.x-user",)), **blocked) == []
    assert problems(backend, gate(), gate(sets=("header.x-user",)), **blocked) == []


def test_value_that_a_gate_removes_is_missing() -> None:
    removing = gate(removes=("header.X-User", "query.t"))
    assert problems(queue("{query.t}{header.x-user}"), gate(), removing) == [
        "header.x-user is missing: `gates[1]` removes it; query.t is missing: `gates[1]` removes it"
    ]


def test_gate_behind_one_that_removes_its_value_is_a_problem() -> None:
    removing = gate(removes=("query.token",), name="{query.token}")
    assert problems(queue(), removing, removing) == [
        "gates[1].name: no client could be served: query.token is missing: `gates[0]` removes it"
    ]


def test_nothing_is_known_behind_a_gate_that_may_set_anything() -> None:
    blocked = {"block-headers": ["X-User"]}
    assert problems(queue("{header.X-User}"), gate(Queue), **blocked) == []
    assert len(problems(queue(), gate(Queue, name="{header.X-User}"), **blocked)) == 1


def test_gates_and_backends_are_those_of_each_route() -> None:
    backends = {"backends": [{"url": "ws://b"}]}
    routes = [
        {"id": "common", "paths": ["/a"]},
        {"id": "own-gates", "paths": ["/b"], "gates": [{"kind": "gate"}]},
        {"id": "own-backends", "paths": ["/c"], **backends},
        {"id": "served", "paths": ["/d"], "gates": []},
    ]
    own = [
        PluginSpecs(()),
        PluginSpecs((), gates=(gate(removes=("cookie.b",)),)),
        PluginSpecs((queue("{cookie.a}{route}"),)),
        PluginSpecs(()),
    ]
    removing = gate(removes=("cookie.a",))
    text = "no client could be served: cookie"
    assert problems(queue("{cookie.a}"), removing, routes=routes, own=own) == [
        "cookie.a is missing: `gates[0]` removes it",
        f"routes[2].backends[0].name: {text}.a is missing: `gates[0]` removes it",
    ]
    assert problems(queue("{cookie.b}"), routes=routes, own=own) == [
        "cookie.b is missing: `gates[0]` removes it"
    ]


@pytest.mark.parametrize("name", ["Host", "sec-websocket-key", "Content_Length"])
def test_template_of_a_header_that_is_not_passed_on_is_an_error(name: str) -> None:
    with pytest.raises(ValidationError, match="never has a value") as caught:
        queue(f"a.{{header.{name}|b}}")
    assert ("X-Forwarded-Host" in str(caught.value)) == (name == "Host")
