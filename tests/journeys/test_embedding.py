"""A gateway embedded in a program: from a mapping, with errors and metrics for the program."""

from __future__ import annotations

import asyncio
import os
import types
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry, generate_latest
from websockets.asyncio.client import connect

import wsgw_core
from wsgw_core import Gateway
from wsgw_core.api import (
    ConfigurationError,
    Options,
    PluginError,
    ValveRegistry,
    hookimpl,
    per_session,
)

from .scripted_backend import ScriptedBackend

SERVER: dict[str, Any] = {"frontend": {"address": "127.0.0.1:0"}, "drain-time": "0s"}


def mapping(backend: ScriptedBackend | None = None, **sections: Any) -> dict[str, Any]:
    url = backend.url if backend is not None else "ws://127.0.0.1:1"
    return {"server": SERVER, "upstream": {"backends": [{"url": url}]}, **sections}


def with_admin(admin: Any) -> dict[str, Any]:
    return mapping(server={**SERVER, "admin": admin})


async def test_gateway_from_mapping_relays_until_the_end_of_the_block(
    backend: ScriptedBackend,
) -> None:
    async with (
        Gateway.from_mapping(mapping(backend)) as gateway,
        connect(f"ws://{gateway.addresses[0]}/x") as client,
    ):
        served = await backend.connection()
        await client.send("hello")
        assert await served.recv() == "hello"
        served_path = served.request.path if served.request is not None else ""
    assert served_path == "/x"
    assert not gateway.ready
    assert gateway.addresses == ()
    assert gateway.counters.undelivered.value == 0


def test_all_problems_are_reported_at_once_as_by_the_command() -> None:
    data: dict[Any, Any] = {
        "failovr": {},
        "failover": {"hold": "soon"},
        "upstream": {"backends": ({"url": "wws://a:1"},)},
        7: {},
    }
    with pytest.raises(ConfigurationError) as caught:
        Gateway.from_mapping(data)
    assert sorted(caught.value.problems) == [
        "failover.hold: found 'soon': not a duration such as 10s, 1m30s or 250ms",
        "failovr: unknown key 'failovr'; did you mean 'failover'?",
        "found the key 7, allowed: text",
        next(each for each in caught.value.problems if "'wws'" in each),
    ]
    with pytest.raises(ConfigurationError, match="no backend"):
        Gateway.from_mapping({})


def test_tuples_and_paths_are_accepted(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("long-enough-to-be-a-token")
    tokens = ({"name": "x", "token-file": secret, "roles": ["operate"]},)
    made = Gateway.from_mapping(with_admin({"tokens": tokens, "address": "127.0.0.1:0"}))
    assert isinstance(made, Gateway)


def test_environment_is_ignored_unless_it_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSGW_FAILOVER__HOLD", "soon")
    monkeypatch.setenv("BE_URLS", "no URL")
    Gateway.from_mapping(mapping())
    with pytest.raises(ConfigurationError, match="WSGW_FAILOVER__HOLD"):
        Gateway.from_mapping(mapping(), environment=os.environ)


@pytest.mark.parametrize("data", [mapping(), with_admin(admin=False)])
async def test_no_admin_section_or_false_disables_the_admin_api(
    data: dict[str, Any],
) -> None:
    async with Gateway.from_mapping(data) as gateway:
        assert gateway.admin_addresses == ()


async def test_admin_section_enables_the_admin_api() -> None:
    async with (
        Gateway.from_mapping(with_admin({"address": "127.0.0.1:0"})) as gateway,
        ClientSession() as http,
        http.get(f"http://{gateway.admin_addresses[0]}/metrics") as answer,
    ):
        assert answer.status == 200
    assert gateway.admin_addresses == ()


async def test_plugin_of_the_program_works_without_installation(backend: ScriptedBackend) -> None:
    class Shout:
        def __init__(self, *_: Any) -> None: ...

        def before_transmit(self, message: Any) -> Any:
            return type(message).from_text("LOUD") if message.text == "quiet" else message

        def after_receive(self, message: Any) -> Any:
            return message

    @hookimpl
    def wsgw_register_valves(registry: ValveRegistry) -> None:
        registry.add("shout", Options, per_session(Shout))

    plugin = types.SimpleNamespace(WSGW_API="1.0", wsgw_register_valves=wsgw_register_valves)
    data = mapping(backend, valves=[{"kind": "shout"}])
    async with (
        Gateway.from_mapping(data, plugins=[plugin]) as gateway,
        connect(f"ws://{gateway.addresses[0]}") as client,
    ):
        served = await backend.connection()
        await client.send("loud")
        assert await served.recv() == "loud"


def test_plugin_of_the_program_without_api_version_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not state WSGW_API"):
        Gateway.from_mapping(mapping(), plugins=[types.SimpleNamespace()])
    assert issubclass(PluginError, ConfigurationError)


async def test_metrics_are_in_the_program_registry_from_any_thread() -> None:
    registry = CollectorRegistry()
    async with Gateway.from_mapping(mapping(), listen=False) as gateway:
        assert gateway.addresses == ()
        collector = gateway.collector()
        registry.register(collector)
        here = generate_latest(registry)
        there = await asyncio.to_thread(generate_latest, registry)
        assert b"wsgw_sessions_total 0.0" in here
        assert [each.split()[0] for each in here.splitlines()] == [
            each.split()[0] for each in there.splitlines()
        ]
        assert b"process_" not in here  # the program has its own


def test_package_exports_gateway_and_rejects_unknown_names() -> None:
    assert wsgw_core.Gateway is Gateway
    with pytest.raises(AttributeError, match="has no attribute 'Gatewy'"):
        wsgw_core.Gatewy  # type: ignore[attr-defined]  # noqa: B018 - looked up on purpose


@pytest.mark.parametrize("data", [None, [], "upstream"])
def test_data_that_is_not_a_mapping_is_refused(data: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"found .*, allowed: a mapping"):
        Gateway.from_mapping(data)


def test_circular_mapping_is_refused() -> None:
    circle = mapping()
    circle["failover"] = circle
    with pytest.raises(ConfigurationError, match="nested too deep"):
        Gateway.from_mapping(circle)


async def test_second_start_is_refused_and_the_gateway_keeps_serving(
    backend: ScriptedBackend,
) -> None:
    async with Gateway.from_mapping(mapping(backend)) as gateway:
        with pytest.raises(RuntimeError, match="started already"):
            await gateway.start()
        async with connect(f"ws://{gateway.addresses[0]}") as client:
            served = await backend.connection()
            await client.send("hello")
            assert await served.recv() == "hello"
    async with gateway:  # it can start again after its end
        assert gateway.ready


async def test_gateway_that_failed_to_start_is_not_ready() -> None:
    async with Gateway.from_mapping(mapping()) as gateway:
        taken = {**SERVER, "frontend": {"address": str(gateway.addresses[0])}}
        other = Gateway.from_mapping(mapping(server=taken))
        with pytest.raises(OSError, match="in use"):
            await other.start()
        assert not other.ready
        assert gateway.ready


def test_collector_of_a_gateway_not_started_is_refused() -> None:
    with pytest.raises(RuntimeError, match="the gateway is not started"):
        Gateway.from_mapping(mapping()).collector()


def test_weight_too_large_for_a_policy_is_refused() -> None:
    backends = [{"url": "ws://127.0.0.1:1", "weight": 10**400}]
    with pytest.raises(ConfigurationError, match=r"backends\[0\].weight: found 1000"):
        Gateway.from_mapping(mapping(upstream={"policy": "hash", "backends": backends}))
