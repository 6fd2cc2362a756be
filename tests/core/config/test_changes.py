"""What a reload changes, and what needs a restart."""

from __future__ import annotations

from typing import Any

import pytest

from wsgw_core.api import BackendRegistry, Options, hookimpl
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.gateway.changes import backend_changes, fixed_changes
from wsgw_core.plugins.loader import Plugins
from wsgw_core.plugins.plugin_specs import PluginSpecs, resolve_specs


class PigeonOptions(Options):
    url: str
    speed: int = 1


class Loft:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_backends(self, registry: BackendRegistry) -> None:
        registry.add("pigeon", PigeonOptions, lambda *_: None, schemes=("dove",))  # type: ignore[arg-type]  # is not made


def config(*urls: str, **sections: Any) -> GatewayConfig:
    backends = [{"url": url} for url in urls or ("pigeon://a:1",)]
    return GatewayConfig.model_validate({"upstream": {"backends": backends}, **sections})


def loaded(*entries: dict[str, Any], **sections: Any) -> tuple[GatewayConfig, PluginSpecs]:
    plugins = Plugins()  # new ones for each configuration, as a reload has them
    plugins.register(Loft(), "loft")
    data = {"upstream": {"backends": entries}, **sections}
    made = GatewayConfig.model_validate(data)
    return made, resolve_specs(made, plugins)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({}, []),
        ({"server": {"frontend": {"address": ":1"}}}, ["server.frontend.address"]),
        ({"server": {"admin": {"address": ":1"}}}, ["server.admin"]),
        ({"server": {"frontend": {"tls": {"certificate": "x"}}}}, ["server.frontend.tls"]),
        ({"limits": {"max-sessions": 5}}, ["limits.max-sessions"]),
        ({"limits": {"max-message-size": 5}, "failover": {"hold": 1}}, []),
        ({"server": {"block-headers": ["X-A"], "logging-level": "INFO"}}, []),
        ({"valves": [{"kind": "x"}]}, []),
    ],
)
def test_keys_that_need_a_restart_are_named(sections: dict[str, Any], told: list[str]) -> None:
    assert fixed_changes(config(), config(**sections)) == told
    assert fixed_changes(config(**sections), config()) == told


def test_changed_certificates_need_no_restart() -> None:
    one = config(server={"frontend": {"tls": {"certificate": "x"}}})
    other = config(server={"frontend": {"tls": {"certificate": "y"}}})

    assert fixed_changes(one, other) == []


A, B = {"url": "pigeon://a:1"}, {"url": "pigeon://b:1"}


@pytest.mark.parametrize(
    ("before", "now", "new", "gone"),
    [
        ([A, B], [A, B], [], []),
        ([A, B], [B, A], [], []),
        ([A], [A, B], ["b-1"], []),
        ([A, B], [A], [], ["b-1"]),
        ([A], [{**A, "speed": 2}], ["a-1"], ["a-1"]),
        ([A], [{**A, "breaker-threshold": 2}], ["a-1"], ["a-1"]),
        ([A], [{**A, "priority": 2}], ["a-1"], ["a-1"]),
        ([A], [{**A, "weight": 2}], ["a-1"], ["a-1"]),
        ([A], [{"url": "dns+pigeon://a:1"}], ["a-1"], ["a-1"]),
        ([A], [{"url": "dove://a:1"}], ["a-1"], ["a-1"]),
        ([A], [{**A, "id": "other"}], ["other"], ["a-1"]),
    ],
)
def test_changed_backends_are_new_and_removed(
    before: list[dict[str, Any]], now: list[dict[str, Any]], new: list[str], gone: list[str]
) -> None:
    found_new, found_gone = backend_changes(loaded(*before), loaded(*now))

    assert ([one.id for one in found_new], [one.id for one in found_gone]) == (new, gone)


def route(*backends: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"id": "r", "paths": ["/r"], "backends": backends, **keys}


REST = {"id": "rest"}


def changed(
    before: tuple[GatewayConfig, PluginSpecs], now: tuple[GatewayConfig, PluginSpecs]
) -> tuple[list[str], list[str]]:
    new, gone = backend_changes(before, now)
    return [one.id for one in new], [one.id for one in gone]


def test_backends_of_routes_are_compared_too() -> None:
    before = loaded(A, routes=[route(B), REST])
    other = {**B, "speed": 2}

    assert changed(before, loaded(A, routes=[route(B), REST])) == ([], [])
    assert changed(before, loaded(A, routes=[route(other), REST])) == (["b-1"], ["b-1"])
    assert changed(before, loaded(A)) == ([], ["b-1"])
    assert changed(loaded(A), before) == (["b-1"], [])


def test_backend_in_another_group_counts_as_changed() -> None:
    before = loaded(A, routes=[route(B), REST])

    assert changed(before, loaded(A, B)) == (["b-1"], ["b-1"])
    renamed = loaded(A, routes=[route(B, id="s"), REST])
    assert changed(before, renamed) == (["b-1"], ["b-1"])


def test_changed_context_of_one_group_changes_only_its_backends() -> None:
    before = loaded(A, routes=[route(B), REST])
    now = loaded(A, routes=[route(B, failover={"ping-timeout": 9, "hold": 1}), REST])

    assert changed(before, now) == (["b-1"], ["b-1"])
    same = loaded(A, routes=[route(B, failover={"hold": 1}, policy="least-connections"), REST])
    assert changed(before, same) == ([], [])


@pytest.mark.parametrize(
    "sections",
    [
        {"limits": {"max-message-size": 5}},
        {"failover": {"ping-timeout": 9}},
        {"failover": {"busy-timeout": 9}},
    ],
)
def test_changed_limits_change_all_backends(sections: dict[str, Any]) -> None:
    new, gone = backend_changes(loaded(A, B), loaded(A, B, **sections))

    assert [one.id for one in new] == [one.id for one in gone] == ["a-1", "b-1"]
