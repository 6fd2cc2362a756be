"""The gate `access`: alone, and in a gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from wsgw_valves import plugin

from wsgw_core.api import ConfigurationError, Handshake, Headers, PluginContext, Refusal
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.registered_plugin import RegisteredPlugin
from wsgw_core.testing.samples import samples

from .conftest import StartGateway
from .echo import Echo

Rules = list[dict[str, Any]]
ALLOW = {"action": "allow", "paths": ["/**"]}
DENY = {"action": "deny", "paths": ["/secret"]}


@pytest.fixture
async def context() -> PluginContext:
    return make_plugin_context("access")


@pytest.fixture
def lets_in(context: PluginContext) -> Callable[..., bool]:
    """Returns a function: whether a gate admits a client."""

    def lets_in(
        rules: Rules,
        path: str = "/",
        headers: Headers = (),
        peer: str = "192.0.2.7:5555",
        **more: Any,
    ) -> bool:
        gate = RegisteredPlugin(plugin).gate("access", {"rules": rules, **more}, context)
        refusal = gate.admit(Handshake(path, headers, (), peer))
        assert refusal is None or isinstance(refusal, Refusal)
        return refusal is None

    return lets_in


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/chat", True),
        ("/chat/room?x=/other", True),
        ("/c%68at/room", True),
        ("/other", False),
        ("/chat/secret", False),
        ("/chat/%73ecret?a", False),
        ("/CHAT", False),
    ],
)
def test_first_matching_rule_decides(
    lets_in: Callable[..., bool], path: str, *, allowed: bool
) -> None:
    rules = [
        {"action": "deny", "paths": ["/chat/secret"]},
        {"action": "allow", "paths": ["/chat/**"]},
    ]
    assert lets_in(rules, path) is allowed


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("192.0.2.7:5555", False),
        ("192.0.2.8:5555", True),
        ("198.51.100.200:1", False),
        ("198.51.101.1:1", True),
        ("[2001:db8::1]:5555", False),
        ("2001:db8::1", False),
        ("[2001:db9::1]:5555", True),
        ("[::ffff:192.0.2.7]:5555", False),
        ("", True),
        ("unknown", True),
        ("_hidden", True),
        ("fe80::1%eth0", True),
    ],
)
def test_rules_match_addresses_and_networks(
    lets_in: Callable[..., bool], peer: str, *, allowed: bool
) -> None:
    denied = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]
    rules = [{"action": "deny", "addresses": denied}]
    assert lets_in(rules, peer=peer, otherwise="allow") is allowed


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ((("x-team", "red"), ("Origin", "any")), True),
        ((("X-Team", "blue"), ("X-TEAM", "red"), ("Origin", "")), True),
        ((("X-Team", "red"),), False),
        ((("X-Team", "Red"), ("Origin", "any")), False),
        ((), False),
    ],
)
def test_rule_matches_only_with_all_its_headers(
    lets_in: Callable[..., bool], headers: Headers, *, allowed: bool
) -> None:
    rules = [{"action": "allow", "headers": {"X-Team": "red", "Origin": "*"}}]
    assert lets_in(rules, headers=headers) is allowed


def test_rule_matches_only_if_all_conditions_hold(lets_in: Callable[..., bool]) -> None:
    rules = [{"action": "allow", "paths": ["/a"], "addresses": ["192.0.2.0/24"]}]
    assert lets_in(rules, "/a")
    assert not lets_in(rules, "/b")
    assert not lets_in(rules, "/a", peer="203.0.113.1:1")


def test_refusals_are_counted_by_rule(lets_in: Callable[..., bool], context: PluginContext) -> None:
    rules = [{"action": "allow", "paths": ["/a"]}, {"action": "deny", "paths": ["/b"]}]
    for path in ("/a", "/b", "/c", "/c"):
        lets_in(rules, path)
    assert samples(context.metrics) == {
        'wsgw_access_refused_total{rule="1"}': 1,
        'wsgw_access_refused_total{rule="otherwise"}': 2,
    }


def test_ten_thousand_networks_are_as_fast_as_a_few(context: PluginContext) -> None:
    networks = [f"10.{high}.{low}.0/24" for high in range(40) for low in range(250)]
    gate = RegisteredPlugin(plugin).gate(
        "access", {"rules": [{"action": "allow", "addresses": networks}]}, context
    )
    begin = time.thread_time()
    for _ in range(1000):
        gate.admit(Handshake("/", (), (), "10.200.0.1:1"))
    assert time.thread_time() - begin < 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, r"gates\[0\].rules: "),
        ({"rules": []}, r"gates\[0\].rules: .*at least 1"),
        ({"rules": [{"action": "allow"}]}, r"rules\[0\]: .*needs 'paths', 'headers' or"),
        ({"rules": [{"action": "maybe", "paths": ["/"]}]}, r"rules\[0\].action: .*deny"),
        ({"rules": [{"action": "deny", "paths": ["a"]}]}, r"paths\[0\]: .*not a path such as"),
        ({"rules": [{"action": "deny", "addresses": ["x"]}]}, "not an address or network; write"),
        ({"rules": [{"action": "deny", "addresses": [7]}]}, "not an address or network; write"),
        ({"rules": [{"action": "deny", "addresses": ["10.0.0.1/8"]}]}, "has host bits set"),
        ({"rules": [{"action": "deny", "addresses": ["::ffff:10.0.0.0/104"]}]}, "write 10.0.0.0/8"),
        ({"rules": [{"action": "deny", "addresses": ["::ffff:10.0.0.7"]}]}, "write 10.0.0.7/32"),
        ({"rules": [{"action": "deny", "headers": {"a b": "c"}}]}, "the name of a header"),
        ({"rules": [{"action": "deny", "headers": {"host": "c"}}]}, "gates do not see this header"),
        ({"rules": [{"action": "deny", "headers": {"A": "1", "a": "2"}}]}, "are the same header"),
        ({"rules": [{"action": "deny", "headers": {"a": "ü"}}]}, "printable ASCII"),
        ({"rules": [{"action": "deny", "paths": ["/"]}], "status": 500}, "status: .*499"),
        ({"rules": [{"action": "deny", "paths": ["/"]}], "statsu": 404}, "statsu: unknown key"),
    ],
)
def test_invalid_options_are_refused(
    context: PluginContext, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        RegisteredPlugin(plugin).gate("access", options, context)


async def test_refused_client_reaches_no_backend(
    start_gateway: StartGateway, echo: Echo, refused: Callable[..., Any]
) -> None:
    rules = [{"action": "deny", "paths": ["/internal/**"]}]
    gateway = await start_gateway(
        gates=[{"kind": "access", "rules": rules, "otherwise": "allow", "status": 404}]
    )
    answer = await refused(f"{gateway.url}/internal/x")
    assert (answer.status_code, answer.body) == (404, b"not allowed\n")
    assert not echo.requests
    async with connect(f"{gateway.url}/chat") as client:
        await client.send("hello")
        assert await client.recv() == "hello"
    assert gateway.count("access_refused") == 1


@pytest.mark.parametrize("rules", [[DENY], [DENY, DENY]])
def test_rules_that_refuse_every_client_are_an_error(
    lets_in: Callable[..., bool], rules: Rules
) -> None:
    with pytest.raises(ConfigurationError, match="refuses every client"):
        lets_in(rules)
    assert lets_in(rules, otherwise="allow")
    assert lets_in([*rules, ALLOW])
