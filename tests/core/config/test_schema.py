"""The JSON schema accepts what the loader accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no type hints
from pydantic import SecretStr

from wsgw_core.api import (
    BackendRegistry,
    Duration,
    Options,
    Subprotocols,
    Template,
    ValveRegistry,
    hookimpl,
)
from wsgw_core.loading.schema import config_schema
from wsgw_core.plugins.loader import Plugins


class Wing(Options):
    feathers: int = 7


class PigeonOptions(Options):
    url: str
    ping_time: Duration = 10.0
    routes: tuple[int, ...] = ()
    wing: Wing = Wing()
    password: SecretStr | None = None
    loft: Template = Template("lofts.{path.1}")
    subprotocols: Subprotocols = Subprotocols("first")


class FilterOptions(Options):
    speed: int


class Zoo:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_backends(self, registry: BackendRegistry) -> None:
        registry.add("pigeon", PigeonOptions, lambda *_: None, schemes=("pigeons",))  # type: ignore[arg-type]  # is not made

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("filter", FilterOptions, lambda *_: None)  # type: ignore[arg-type]  # is not made


@pytest.fixture(scope="module")
def validator() -> Any:
    plugins = Plugins()
    plugins.register(Zoo(), "zoo")
    schema = json.loads(json.dumps(config_schema(plugins)))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def with_backend(**entry: Any) -> dict[str, Any]:
    return {"upstream": {"backends": [entry]}}


ONE = with_backend(url="pigeon://a:1")


@pytest.mark.parametrize(
    "data",
    [
        ONE,
        {"server": {}, "upstream": {}},  # backends may come from variables
        with_backend(url="pigeons://a:1", id="x"),
        with_backend(url="dns+pigeon://a:1"),
        with_backend(kind="pigeon", url="https://a:1"),
        with_backend(**{"url-file": "/x"}),
        with_backend(**{"url": "pigeon://a:1", "ping-time": "5s", "routes": "1,2"}),
        with_backend(**{"url": "pigeon://a:1", "ping-time": 5, "routes": [1], "wing": {}}),
        with_backend(**{"url": "pigeon://a:1", "password-file": "/x"}),
        with_backend(url="pigeon://a:1", loft="{session}", subprotocols=["coo"]),
        {**ONE, "failover": False},
        {**ONE, "failover": {"hold": "1m", "retry-statuses": "408"}},
        {**ONE, "server": {"frontend": {"address": ":1", "compression": True}}},
        {**ONE, "server": {"trusted-proxies": ["10.0.0.0/8"], "logging-level": "INFO"}},
        {**ONE, "server": {"frontend": {"allowed-origins": ["https://a"], "wite-timeout": "1s"}}},
        {**ONE, "limits": {"max-sessions": 5, "max-message-size": "64KiB"}},
        {**ONE, "valves": [{"kind": "filter", "speed": 1, "on-error": "discard"}]},
        {**ONE, "gates": []},
        {**ONE, "routes": []},
        {**ONE, "routes": [{"id": "a"}]},
        {"routes": [{"id": "a", "backends": [{"url": "pigeon://a:1", "priority": 2}]}]},
        {**ONE, "routes": [{"id": "a", "paths": "/a,/b", "hosts": ["*.a"], "headers": {"X": "*"}}]},
        {**ONE, "routes": [{"id": "a", "failover": False, "valves": [], "gates": []}]},
        {**ONE, "routes": [{"id": "a", "failover": {"hold": "1s"}}]},
        {**ONE, "routes": [{"id": "a", "valves": [{"kind": "filter", "speed": 1}]}]},
    ],
)
def test_schema_accepts_valid_configurations(validator: Any, data: dict[str, Any]) -> None:
    validator.validate(data)


@pytest.mark.parametrize(
    "data",
    [
        {"upstream": {"backends": []}},
        with_backend(url="duck://a:1"),
        with_backend(kind="duck", url="pigeon://a:1"),
        with_backend(kind="pigeon", id="a"),
        with_backend(**{"url": "pigeon://a:1", "ping-tim": "5s"}),
        with_backend(url="pigeon://a:1", wing={"feather": 1}),
        with_backend(url="pigeon://a:1", loft=7),
        with_backend(url="pigeon://a:1", subprotocols=[]),
        {**ONE, "failovr": {}},
        {**ONE, "failover": {"hold": [1]}},
        {**ONE, "server": {"frontend": {"address": 5}}},
        {**ONE, "valves": [{"kind": "filter"}]},
        {**ONE, "valves": [{"speed": 1}]},
        {**ONE, "gates": [{"kind": "filter"}]},
        {**ONE, "routes": [{}]},
        {**ONE, "routes": [{"id": "a b"}]},
        {**ONE, "routes": [{"id": "a", "backends": []}]},
        {**ONE, "routes": [{"id": "a", "backends": [{"url": "duck://a:1"}]}]},
        {**ONE, "routes": [{"id": "a", "valves": [{"kind": "filter"}]}]},
        {**ONE, "routes": [{"id": "a", "headers": ["X"]}]},
        {**ONE, "routes": [{"id": "a", "policy": "random"}]},
        {**ONE, "routes": [{"id": "a", "listeners": []}]},
    ],
)
def test_schema_refuses_invalid_configurations(validator: Any, data: dict[str, Any]) -> None:
    assert not validator.is_valid(data)


def test_inherited_options_of_routes_have_no_default(validator: Any) -> None:
    definitions = validator.schema["$defs"]

    assert definitions["FailoverOptions"]["properties"]["hold"]["default"] == 30
    assert "default" not in definitions["route-failover"]["properties"]["hold"]


def test_keys_without_effect_are_marked(validator: Any) -> None:
    server = validator.schema["$defs"]["ServerOptions"]["properties"]

    assert server["read-buffer-size"]["deprecated"] is True
    assert "deprecated" not in server["block-headers"]
