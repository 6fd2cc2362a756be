"""wsbalancer's files and variables keep their meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsgw_core.api import ConfigurationError
from wsgw_core.config.address import Address
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.wsbalancer import misspelt_variables
from wsgw_core.config.wsbalancer_variables import ALL_VARIABLES, GATEWAY_VARIABLES, Variable

from .core_config import load_config

# Every key that wsbalancer has, none with its default.
EVERY_KEY = """\
server:
  read-buffer-size: 4096
  write-buffer-size: 2048
  trust-received-xff: false
  block-headers:
    - X-Internal
  reconnect-header: X-Moved
  logging-level: panic
  frontend:
    address: localhost:7000
    read-timeout: 5s
    wite-timeout: 6s
    max-header-bytes: 131072
  admin:
    address: localhost:7001
    read-timeout: 5s
    wite-timeout: 6s
    max-header-bytes: 131072
upstream:
  backends:
    - url: ws://localhost:7100
      id: first
      ping-time: 1m30s
      read-buffer-size: 4096
      write-buffer-size: 4096
      breaker-threshold: 100000
      handshake-timeout: 3s
      pass-headers: [X-Node]
      abnormal-close-codes: [1006, 4000]
    - url: ws:localhost:7101
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wsbalancer.yml"
    path.write_text(EVERY_KEY)
    return path


def options(config: GatewayConfig, number: int) -> dict[str, Any]:
    return config.upstream.backends[number].options


def test_wsbalancer_file_with_every_key_is_loaded(file: Path) -> None:
    config = load_config(file, {})

    frontend = config.server.frontend
    assert frontend.address == Address("localhost", 7000)
    assert (frontend.read_timeout, frontend.max_header_bytes) == (5.0, 131072)
    assert config.server.logging_level == "ERROR"
    assert config.server.reconnect_header == "X-Moved"
    assert not config.server.trust_received_xff
    assert [one.effective_id for one in config.upstream.backends] == ["first", "localhost-7101"]
    assert options(config, 0)["abnormal-close-codes"] == [1006, 4000]
    assert [one.breaker_threshold for one in config.upstream.backends] == [100000, 10]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("trace", "DEBUG"), ("Info", "INFO"), ("WARNING", "WARN"), ("fatal", "ERROR")],
)
def test_wsbalancer_log_levels_are_accepted(written: str, meant: str) -> None:
    config = load_config(None, {"BE_URLS": "ws://a:1", "LOG_LEVEL": written})

    assert config.server.logging_level == meant


@pytest.mark.parametrize("variable", GATEWAY_VARIABLES)
def test_each_variable_overrides_the_file(file: Path, variable: Variable) -> None:
    samples = {"address": ":5", "duration": "7s", "size": "3KiB", "boolean": "true", "list": "A,B"}
    text = {"RECONNECT_HDR": "X-New", "LOG_LEVEL": "INFO"}.get(variable.name)

    config = load_config(file, {variable.name: text or samples[variable.type]})

    found: Any = config
    for key in variable.key.split("."):
        found = getattr(found, key.replace("-", "_"))
    expected = {
        "address": Address("", 5),
        "duration": 7.0,
        "size": 3072,
        "boolean": True,
        "list": ("A", "B"),
        "text": text,
    }
    assert found == expected[variable.type]


@pytest.mark.parametrize("variable", GATEWAY_VARIABLES)
def test_documented_defaults_are_the_effective_ones(variable: Variable) -> None:
    plain = load_config(None, {"BE_URLS": "ws://a:1"})
    if variable.name in ("FE_READ_TIMEOUT", "FE_MAX_HDR_BYTES"):
        told = load_config(None, {"BE_URLS": "ws://a:1", variable.name: variable.default})
        frontend, limits = told.server.frontend, plain.limits
        assert frontend.read_timeout in (None, limits.handshake_timeout)
        assert frontend.max_header_bytes in (None, limits.max_header_bytes)
    elif variable.default:
        assert load_config(None, {"BE_URLS": "ws://a:1", variable.name: variable.default}) == plain


def test_variable_names_are_unique() -> None:
    names = [variable.name for variable in ALL_VARIABLES]

    assert len(set(names)) == len(names)


def test_backend_variables_apply_to_all_backends(file: Path) -> None:
    config = load_config(
        file,
        {
            "BE_URLS": "ws://c:1",
            "BE_PING_TIME": "7s",
            "BE_HANDSHAKE_TIMEOUT": "8s",
            "BE_BREAKER_THRESHOLD": "-1",
            "BE_RB_SIZE": "1",
            "BE_WB_SIZE": "2",
            "BE_ABNORMAL_CLOSE_CODES": "1001,4001",
            "BE_PASS_HEADERS": "X-A, X-B",
        },
    )

    assert len(config.upstream.backends) == 3
    for number in range(3):
        given = options(config, number)
        assert config.upstream.backends[number].breaker_threshold == -1
        assert given["ping-time"] == "7s"
        assert given["handshake-timeout"] == "8s"
        assert (given["read-buffer-size"], given["write-buffer-size"]) == ("1", "2")
        assert given["abnormal-close-codes"] == "1001,4001"
    assert options(config, 0)["pass-headers"] == ["X-Node", "X-A", "X-B"]
    assert options(config, 1)["pass-headers"] == ["X-A", "X-B"]
    assert options(config, 2)["pass-headers"] == ["X-A", "X-B"]


def test_variable_adds_to_headers_given_as_text(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text("upstream: {backends: [{url: 'wss://a:1', pass_headers: 'X-A,X-B'}]}")

    config = load_config(file, {"BE_PASS_HEADERS": "X-C"})

    assert options(config, 0)["pass-headers"] == ["X-A", "X-B", "X-C"]


@pytest.mark.parametrize("entry", ["kind: pigeon", "url: 'pigeon://a:1'"])
def test_backend_variables_skip_other_kinds(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(f"upstream: {{backends: [{{id: a, {entry}}}]}}")

    config = load_config(file, {"BE_PING_TIME": "1s", "BE_PASS_HEADERS": "X-C"})

    assert options(config, 0) == {}


def test_empty_item_is_reported_once(file: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, {"BE_PASS_HEADERS": "X-A,,X-B"})

    assert [one for one in caught.value.problems if one.startswith("BE_PASS_HEADERS: item 2")]
    assert len(caught.value.problems) == 1


def test_a_duration_in_nanoseconds_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wsbalancer.yml"
    file.write_text("server: {frontend: {read-timeout: 10000000000}}")

    with pytest.raises(ConfigurationError, match="a number without a unit counts seconds"):
        load_config(file, {"BE_URLS": "ws://a:1"})


def test_backend_variables_apply_to_backends_of_routes(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(
        "routes:\n"
        "- {id: a, paths: [/a], backends: [{url: ws://a:1}, {url: 'amqp://b:1'}]}\n"
        "- {id: b, backends: [{url: dns+wss://c:1, pass-headers: [X-A]}]}\n"
    )

    config = load_config(file, {"BE_PING_TIME": "1s", "BE_PASS_HEADERS": "X-C"})

    assert [backend.options for _, backend in config.backend_entries()] == [
        {"ping-time": "1s", "pass-headers": ["X-C"]},
        {},
        {"ping-time": "1s", "pass-headers": ["X-A", "X-C"]},
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BE_URL", "BE_URLS"),
        ("FE_ADDRESS", "FE_ADDR"),
        ("ADM_ADRR", "ADM_ADDR"),
        ("BE_PING_TIMEOUT", "BE_PING_TIME"),
    ],
)
def test_misspelt_variable_causes_a_warning(name: str, meant: str) -> None:
    assert list(misspelt_variables({name: "x", "HOME": "/"})) == [(name, meant)]


@pytest.mark.parametrize(
    "name", ["BE_PORT", "FE_HOST", "LOGLEVEL", "FE_PORT_80_TCP_ADDR", "BE_SERVICE_HOST", "FE_ADDR"]
)
def test_variables_of_other_programs_cause_no_warning(name: str) -> None:
    assert list(misspelt_variables({name: "x", "BE_URL": " "})) == []
