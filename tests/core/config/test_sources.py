"""The defaults, the file and the environment, and their precedence."""

from __future__ import annotations

import logging

import pytest

from wsgw_core.api import ConfigurationError
from wsgw_core.config.address import Address
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.sources import read_sources

from .conftest import BACKEND, Write
from .core_config import load_config


def ids(config: GatewayConfig) -> list[str]:
    return [backend.effective_id for backend in config.upstream.backends]


def test_the_environment_alone_is_enough() -> None:
    config = load_config(
        None,
        {
            "FE_ADDR": "127.0.0.1:0",
            "ADM_ADDR": ":9",
            "LOG_LEVEL": "info",
            "BE_URLS": "ws://a:1, ws://b:2/x",
            "BE_URL_IDS": "blue,green",
        },
    )

    assert config.server.frontend.address == Address("127.0.0.1", 0)
    assert config.server.admin.address == Address("", 9)
    assert config.server.logging_level == "INFO"
    assert ids(config) == ["blue", "green"]
    assert [backend.url for backend in config.upstream.backends] == ["ws://a:1", "ws://b:2/x"]


def test_environment_overrides_file_and_file_overrides_defaults(write: Write) -> None:
    file = write(
        BACKEND
        + """
server:
  frontend: {address: ":1"}
  admin: {address: ":2"}
failover: {hold: 3s}
"""
    )

    config = load_config(file, {"FE_ADDR": ":5"})

    assert config.server.frontend.address == Address("", 5)
    assert config.server.admin.address == Address("", 2)
    assert config.failover.hold == 3.0
    assert (
        config.failover.stable
        == GatewayConfig.model_validate(
            {"upstream": {"backends": [{"url": "ws://a:1"}]}}
        ).failover.stable
    )


def test_be_urls_adds_backends_after_those_of_the_file(write: Write) -> None:
    file = write(BACKEND)

    config = load_config(file, {"BE_URLS": "ws://b:1,ws://c:1", "BE_URL_IDS": "x,y"})

    assert ids(config) == ["a-1", "x", "y"]


@pytest.mark.parametrize("text", ["upstream:\n", "upstream: {backends: }\n", "# nothing\n", ""])
def test_be_urls_gives_backends_to_a_file_without_any(write: Write, text: str) -> None:
    assert ids(load_config(write(text), {"BE_URLS": "ws://b:1"})) == ["b-1"]


def test_empty_variables_count_as_unset(write: Write) -> None:
    empty = {"FE_ADDR": "", "BE_URLS": " ", "BE_URL_IDS": "", "LOG_LEVEL": ""}

    assert load_config(write(BACKEND), empty) == load_config(write(BACKEND), {})


def test_dashes_and_underscores_are_equivalent(write: Write) -> None:
    dashes = write(BACKEND + "failover: {ping-timeout: 7s, retry-statuses: [408]}\n")
    underscores = write(BACKEND + "failover: {ping_timeout: 7s, retry_statuses: [408]}\n")

    assert load_config(dashes, {}) == load_config(underscores, {})
    assert load_config(underscores, {}).failover.ping_timeout == 7.0


@pytest.mark.parametrize("switch", [True, False])
def test_section_with_enabled_accepts_true_or_false(write: Write, *, switch: bool) -> None:
    text = f"server: {{frontend: {{compression: {switch}}}}}\nfailover: {switch}"
    config = load_config(write(text.lower()), {"BE_URLS": "ws://a:1"})
    assert config.server.frontend.compression.enabled == config.failover.enabled == switch


def test_toml_and_yaml_give_the_same_configuration(write: Write) -> None:
    toml = '[[upstream.backends]]\nurl = "ws://a:1"\n[failover]\nping_timeout = "7s"\n'
    yaml_text = BACKEND + "failover: {ping-timeout: 7s}\n"

    loaded = load_config(write(toml, "wsgw.toml"), {})

    assert loaded == load_config(write(yaml_text), {})


def test_text_is_never_interpreted(write: Write) -> None:
    file = write(
        """
upstream:
  backends:
    - url: ws://a:1
      id: 1e5
      token: "@format {env[HOME]}"
      list: [dynaconf_merge, "@jinja {{ 1 }}", no, 12:30, 2020-01-01]
      dynaconf_merge: true
      copy: {dynaconf_merge: false, under_score: "@int 3", UPPER: x}
"""
    )

    [backend] = load_config(file, {"BE_URL_IDS": ""}).upstream.backends

    assert backend.id == "1e5"
    assert backend.options == {
        "token": "@format {env[HOME]}",
        "list": ["dynaconf_merge", "@jinja {{ 1 }}", "no", "12:30", "2020-01-01"],
        "dynaconf-merge": True,
        "copy": {"dynaconf_merge": False, "under_score": "@int 3", "UPPER": "x"},
    }


def test_dynaconf_variables_change_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load_config(write(BACKEND), {"FE_ADDR": ":1"})
    for name in ("MERGE_ENABLED", "AUTO_CAST", "DOTTED_LOOKUP", "ENVIRONMENTS", "SYSENV_FALLBACK"):
        monkeypatch.setenv(f"{name}_FOR_DYNACONF", "true")
    monkeypatch.setenv("DYNACONF_CONFIG", "{'server': 1}")
    monkeypatch.setenv("CONFIG", "{'server': 1}")

    assert load_config(write(BACKEND), {"FE_ADDR": ":1"}) == plain


def test_anchors_and_merge_keys_work(write: Write) -> None:
    file = write(
        """
upstream:
  backends:
    - &first {url: ws://a:1, ping-time: 5s, other: 1}
    - <<: *first
      url: ws://b:1
      other: 2
"""
    )

    second = load_config(file, {}).upstream.backends[1]

    assert second.url == "ws://b:1"
    assert second.options == {"ping-time": "5s", "other": 2}


@pytest.mark.parametrize("odd", ["ws:localhost:9090", "wss:localhost:9090/x"])
def test_a_url_of_wsbalancers_kind_is_completed_with_a_warning(
    odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        config = load_config(None, {"BE_URLS": odd})

    assert config.upstream.backends[0].url == odd.replace(":", "://", 1)
    assert config.upstream.backends[0].effective_id == "localhost-9090"
    assert f"BE_URLS: upstream.backends[0].url: read '{odd}' as " in caplog.text


def test_complete_url_causes_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    load_config(None, {"BE_URLS": "ws://u:p@localhost:9090/a:1"})

    assert not caplog.records


def test_origin_of_a_value_is_the_overriding_source(write: Write) -> None:
    file = write(BACKEND + "server:\n  frontend:\n    address: ':1'\nfailover:\n  hold: 1s\n")

    origins = read_sources(file, {"FE_ADDR": ":2", "BE_URLS": "ws://b:1"}).origins

    assert origins.place(("server", "frontend", "address")) == "FE_ADDR: server.frontend.address"
    assert origins.place(("failover", "hold")).endswith("wsgw.yaml:6: failover.hold")
    assert origins.place(("upstream", "backends", 0, "url", "x")).startswith(f"{file}:1: ")
    assert origins.place(("upstream", "backends", 1, "url")).startswith("BE_URLS: ")


@pytest.mark.parametrize("code", [999, 1005, 1006, 1015, 2000, 5000])
def test_a_close_code_that_no_endpoint_may_send_is_refused(write: Write, code: int) -> None:
    file = write(BACKEND + f"failover: {{enabled: false, loss-code: {code}}}\n")
    with pytest.raises(ConfigurationError, match=r"failover\.loss-code: .*close code"):
        load_config(file, {})
