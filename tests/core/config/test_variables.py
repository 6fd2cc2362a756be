"""The variables `WSGW_...`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsgw_core.api import ConfigurationError
from wsgw_core.config.address import Address
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.sources import read_sources

from .core_config import load_config

FILE = """\
server:
  block-headers: [X-One, X-Two]
upstream:
  backends:
    - {url: "ws://a:1", tls: {ca: /ca, server_name: a}, codes: [1, 2], compression: true}
    - {url: "ws://b:1"}
failover: {hold: 3s, ping-timeout: 2s}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wsgw.yaml"
    path.write_text(FILE)
    return path


def first_backend(config: GatewayConfig) -> dict[str, Any]:
    return config.upstream.backends[0].options


def problem_of(file: Path | None, environment: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environment)
    [problem] = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("name", "text", "found", "expected"),
    [
        ("SERVER__FRONTEND__ADDRESS", ":9", lambda c: c.server.frontend.address, Address("", 9)),
        ("FAILOVER__PING_TIMEOUT", "7s", lambda c: c.failover.ping_timeout, 7.0),
        ("FAILOVER__HOLD", "7", lambda c: c.failover.hold, 7.0),
        ("FAILOVER__ENABLED", "false", lambda c: c.failover.enabled, False),
        ("UPSTREAM__POLICY", "hash", lambda c: c.upstream.policy.kind, "hash"),
        ("UPSTREAM__POLICY__KIND", "hash", lambda c: c.upstream.policy.kind, "hash"),
        ("FAILOVER", "false", lambda c: c.failover.enabled, False),
        ("SERVER__FRONTEND__COMPRESSION", "true", lambda c: c.server.frontend.compression.level, 1),
        ("LIMITS__MAX_MESSAGE_SIZE", "2KiB", lambda c: c.limits.max_message_size, 2048),
        ("LIMITS__MAX_SESSIONS", "5", lambda c: c.limits.max_sessions, 5),
        ("SERVER__BLOCK_HEADERS", "X-A, X-B", lambda c: c.server.block_headers, ("X-A", "X-B")),
        ("SERVER__BLOCK_HEADERS__1", "X-B", lambda c: c.server.block_headers, ("X-One", "X-B")),
        (
            "SERVER__BLOCK_HEADERS__2",
            "X-B",
            lambda c: c.server.block_headers,
            ("X-One", "X-Two", "X-B"),
        ),
        ("FAILOVER__RETRY_STATUSES", "429", lambda c: c.failover.retry_statuses, (429,)),
        ("FAILOVER__RETRY_STATUSES__0", "429", lambda c: c.failover.retry_statuses, (429,)),
        (
            "SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8,::1",
            lambda c: [str(network) for network in c.server.trusted_proxies],
            ["10.0.0.0/8", "::1/128"],
        ),
        ("UPSTREAM__BACKENDS__1__URL", "ws://c:1", lambda c: c.upstream.backends[1].id, None),
        ("UPSTREAM__BACKENDS__2__URL", "ws://c:1", lambda c: c.upstream.backends[2].url, "ws://c:1"),
        ("VALVES__0__KIND", "x", lambda c: c.valves[0].kind, "x"),
        ("UPSTREAM__BACKENDS__0__PING_TIME", "1s", lambda c: first_backend(c)["ping-time"], "1s"),
        ("UPSTREAM__BACKENDS__0__CODES", "5", lambda c: first_backend(c)["codes"], "5"),
        ("UPSTREAM__BACKENDS__0__CODES__1", "5", lambda c: first_backend(c)["codes"], [1, "5"]),
        (
            "UPSTREAM__BACKENDS__0__TLS__CA",
            "/x",
            lambda c: first_backend(c)["tls"],
            {"ca": "/x", "server_name": "a"},
        ),
        (
            "UPSTREAM__BACKENDS__0__TLS__SERVER_NAME",
            "b",
            lambda c: first_backend(c)["tls"],
            {"ca": "/ca", "server_name": "b"},
        ),
        (
            "UPSTREAM__BACKENDS__0__COMPRESSION__LEVEL",
            "3",
            lambda c: first_backend(c)["compression"],
            {"enabled": True, "level": "3"},
        ),
        ("UPSTREAM__BACKENDS__1__A__B__0", "x", lambda c: c.upstream.backends[1].options["a"],
         {"b": ["x"]}),
    ],
)  # fmt: skip
def test_a_variable_sets_its_key(
    file: Path, name: str, text: str, found: Any, expected: Any
) -> None:
    assert found(load_config(file, {f"WSGW_{name}": text})) == expected


def test_variable_changes_only_its_own_key(file: Path) -> None:
    plain = load_config(file, {})

    changed = load_config(file, {"WSGW_FAILOVER__HOLD": "9s", "WSGW_FAILOVER__STABLE": ""})

    assert changed.failover.ping_timeout == 2.0
    assert changed.model_copy(update={"failover": plain.failover}) == plain


def test_the_environment_alone_is_enough() -> None:
    config = load_config(
        None,
        {f"WSGW_UPSTREAM__BACKENDS__{n}__URL": f"ws://a:{n + 1}" for n in reversed(range(12))},
    )

    assert [one.url for one in config.upstream.backends] == [f"ws://a:{n + 1}" for n in range(12)]


def test_wsgw_variables_override_wsbalancers_variables(file: Path) -> None:
    config = load_config(
        file,
        {
            "FE_ADDR": ":1",
            "WSGW_SERVER__FRONTEND__ADDRESS": ":2",
            "BE_URLS": "ws://c:1",
            "WSGW_UPSTREAM__BACKENDS__2__ID": "third",
        },
    )

    assert config.server.frontend.address == Address("", 2)
    assert config.upstream.backends[2].url == "ws://c:1"
    assert config.upstream.backends[2].effective_id == "third"


def test_origins_are_the_variable_and_the_file(file: Path) -> None:
    name = "WSGW_UPSTREAM__BACKENDS__0__TLS__CA"

    origins = read_sources(file, {name: "/x"}).origins

    inside = ("upstream", "backends", 0, "tls")
    assert origins.place((*inside, "ca")) == f"{name}: upstream.backends[0].tls.ca"
    assert origins.place((*inside, "server_name")).startswith(f"{file}:5: ")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "FAILOVER__HOLDS",
            "failover.holds: unknown key 'holds'; did you mean 'hold'?",
        ),
        ("SERVER__FRONTEND__ADRESS", "server.frontend.adress: unknown key 'adress'; did"),
        (
            "SERVER_FRONTEND_ADDRESS",
            (
                "server-frontend-address: unknown key 'server-frontend-address'; allowed: drain,"
                " failover, gates, limits, listeners, routes, server, upstream, valves (separate"
                " levels with two underscores, as in WSGW_FAILOVER__HOLD)"
            ),
        ),
        ("FAILOVR__HOLD", "failovr: unknown key 'failovr'; did you mean 'failover'?"),
        ("PORTS", "ports: unknown key 'ports'; allowed: drain, failover, "),
        ("", "['']: unknown key ''; allowed: drain, failover, "),
        ("SERVER", "server: is a section: name one of its keys, as in WSGW_SERVER__KEY"),
        ("SERVER__", "server['']: unknown key ''; allowed: "),
        (
            "UPSTREAM__BACKENDS",
            (
                "upstream.backends: is a list of sections: name a key of one, as in"
                " WSGW_UPSTREAM__BACKENDS__0__KEY"
            ),
        ),
        (
            "UPSTREAM__BACKENDS__BLUE__URL",
            "upstream.backends: found 'blue', allowed: the number of an item, counted from 0",
        ),
        (
            "UPSTREAM__BACKENDS__7__URL",
            "upstream.backends: there is no item 7; the next free number is 2",
        ),
        (
            "SERVER__BLOCK_HEADERS__3",
            "server.block-headers: there is no item 3; the next free number is 2",
        ),
        ("UPSTREAM__BACKENDS__0__CODES__A", "upstream.backends[0].codes: found 'a', allowed: the"),
        ("UPSTREAM__BACKENDS__0__URL__A", "upstream.backends[0].url: has no keys below it, such"),
    ],
)
def test_variable_with_an_unknown_name_is_a_problem(file: Path, name: str, expected: str) -> None:
    problem = problem_of(file, {f"WSGW_{name}": "x"})

    assert problem.startswith(f"WSGW_{name}: {expected}")


def test_invalid_value_names_its_variable(file: Path) -> None:
    problem = problem_of(file, {"WSGW_FAILOVER__RETRY_STATUSES__1": "many"} | {
        "WSGW_FAILOVER__RETRY_STATUSES__0": "408"})  # fmt: skip

    assert problem == (
        "WSGW_FAILOVER__RETRY_STATUSES__1: failover.retry-statuses[1]: found 'many',"
        " allowed: a whole number"
    )


def test_kubernetes_service_variables_are_ignored(file: Path) -> None:
    environment = dict.fromkeys(
        (
            "WSGW_SERVICE_HOST",
            "WSGW_SERVICE_PORT",
            "WSGW_SERVICE_PORT_HTTP",
            "WSGW_PORT",
            "WSGW_PORT_8080_TCP",
            "WSGW_PORT_8080_TCP_PROTO",
            "WSGW_PORT_8080_TCP_PORT",
            "WSGW_PORT_8080_TCP_ADDR",
            "WSGW_ADMIN_SERVICE_HOST",
            "WSGW_ADMIN_PORT_8081_TCP_ADDR",
        ),
        "10.0.0.1",
    )

    assert load_config(file, {**environment, "WSGW_DEBUG": "1"}) == load_config(file, {})


ENTRIES = """\
upstream:
  policy: {kind: hash, key: path.2, bound: 1.25}
  backends: [{kind: fake, id: a, codes: [1], weight: 3}]
valves: [{kind: one, on-error: discard, speed: 9}, {kind: two, speed: 8}]
routes:
  - {id: r, paths: [/r], policy: {kind: hash, key: path}, backends: [{url: "ws://c:1"}]}
  - {id: rest}
"""


@pytest.mark.parametrize(
    ("name", "text", "entry", "options"),
    [
        ("UPSTREAM__POLICY", "round-robin", lambda c: c.upstream.policy, {}),
        ("UPSTREAM__POLICY__KIND", "zone", lambda c: c.upstream.policy, {}),
        ("UPSTREAM__POLICY", "hash", lambda c: c.upstream.policy, {"key": "path.2", "bound": 1.25}),
        ("ROUTES__0__POLICY", "random-two", lambda c: c.routes[0].policy, {}),
        ("UPSTREAM__BACKENDS__0__KIND", "other", lambda c: c.upstream.backends[0], {}),
        ("VALVES__0__KIND", "other", lambda c: c.valves[0], {}),
        ("VALVES__0__KIND", "other", lambda c: c.valves[1], {"speed": 8}),
    ],
)
def test_entry_that_gets_another_kind_loses_the_options_of_the_old_one_and_keeps_the_core_s(
    tmp_path: Path, name: str, text: str, entry: Any, options: dict[str, Any]
) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(ENTRIES)
    config = load_config(file, {f"WSGW_{name}": text})
    assert entry(config).options == options
    assert config.upstream.backends[0].weight == 3
    assert config.valves[0].on_error == "discard"


def test_options_that_come_with_the_kind_are_those_of_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(ENTRIES)
    environment = {"WSGW_UPSTREAM__POLICY": "zone", "WSGW_UPSTREAM__POLICY__KEY": "x"}
    assert load_config(file, environment).upstream.policy.options == {"key": "x"}
