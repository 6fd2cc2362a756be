"""The configuration of a websocket backend."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from wsgw_ws import plugin
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.api import BackendRegistry, Limits


def settings(**options: Any) -> WebSocketSettings:
    return WebSocketSettings.model_validate({"url": "ws://blue:9090", **options})


def test_url_alone_gives_the_defaults() -> None:
    made = settings().model_dump(by_alias=True)
    del made["compression"]  # the core's own options
    assert made == {
        "url": "ws://blue:9090",
        "pass-headers": (),
        "pass-host": False,
        "abnormal-close-codes": (1001, 1006, 1011, 1012, 1013, 1014),
        "tls": None,
        "handshake-timeout": 10,
        "ping-time": 20,
        "ack-interval": 0.05,
        "replay-window": 0.25,
        "without-pongs": "refuse",
        "max-answer-head": 64 * 1024,
        "read-buffer-size": 1024,
        "write-buffer-size": 1024,
    }


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a:"])
def test_header_that_cannot_exist_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="pass-headers"):
        settings(**{"pass-headers": ["X-A", name]})


@pytest.mark.parametrize(
    "url",
    ["ws://blue", "ws://blue:9090/base", "ws://[::1]:9090/", "ws://10.0.0.1:1/a/b/", "wss://blue"],
)
def test_valid_urls_are_accepted(url: str) -> None:
    assert settings(url=url).url == url


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://blue:9090", "not a URL such as ws://host:port/path"),
        ("blue:9090", "not a URL"),
        ("ws://", "not a URL"),
        ("ws://:9090", "not a URL"),
        ("ws://blue:port", "not a URL"),
        ("ws://blue:99999", "not a URL"),
        ("ws://blue:9090/?a=1", "path and query are appended"),
        ("ws://blue:9090/#part", "not a URL|path and query are appended"),
        ("", "not a URL"),
    ],
)
def test_invalid_urls_are_refused(url: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(url=url)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["Set-Cookie", "X-A"], ("Set-Cookie", "X-A")),
        ("Set-Cookie, X-A", ("Set-Cookie", "X-A")),
        ("Set-Cookie", ("Set-Cookie",)),
        ([], ()),
    ],
)
def test_pass_headers_accepts_list_or_text(given: Any, taken: tuple[str, ...]) -> None:
    assert settings(**{"pass-headers": given}).pass_headers == taken


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([1000, 1014], (1000, 1014)),
        ([3000, 4999], (3000, 4999)),
        ("1011, 1012", (1011, 1012)),
        ([], ()),
        (["1013"], (1013,)),
    ],
)
def test_abnormal_close_codes_accepts_list_or_text(given: Any, taken: tuple[int, ...]) -> None:
    assert settings(**{"abnormal-close-codes": given}).abnormal_close_codes == taken


@pytest.mark.parametrize("code", [0, 999, 1015, 2999, 5000, -1, "abnormal"])
def test_invalid_close_codes_are_refused(code: object) -> None:
    with pytest.raises(ValidationError, match=r"abnormal-close-codes"):
        settings(**{"abnormal-close-codes": [code]})


@pytest.mark.parametrize(
    ("key", "least", "less"),
    [
        ("handshake-timeout", "1ms", 0),
        ("ping-time", "1ms", 0),
        ("ack-interval", "1ms", 0),
        ("replay-window", 0, -0.001),
        ("max-answer-head", 1, 0),
    ],
)
def test_least_value_is_accepted_and_less_is_refused(key: str, least: object, less: object) -> None:
    settings(**{key: least})
    with pytest.raises(ValidationError, match=key):
        settings(**{key: less})


def test_duration_is_read_in_seconds() -> None:
    assert settings(**{"ping-time": "1m30s"}).ping_time == 90


def test_options_of_wsbalancer_without_effect_are_marked_as_such() -> None:
    properties = WebSocketSettings.model_json_schema()["properties"]
    marked = {key for key, schema in properties.items() if schema.get("deprecated")}
    assert marked == {"read-buffer-size", "write-buffer-size"}


@pytest.mark.parametrize(
    ("given", "limits", "rates"),
    [
        ({}, Limits(ledger_messages=32), "69 messages or 4389 KiB"),
        ({}, Limits(ledger_bytes=16 * 1024), "8777 messages or 34 KiB"),
        ({"replay-window": "1m"}, Limits(), "51 messages or 26 KiB"),
        ({"replay-window": "10ms", "ack-interval": "1m"}, Limits(), "26 messages or 13 KiB"),
        ({"replay-window": "650ms"}, Limits(ledger_messages=99), "99 messages or 2048 KiB"),
        ({"replay-window": "650ms"}, Limits(ledger_bytes=65535), "4096 messages or 64 KiB"),
    ],
)
def test_replay_window_beyond_ledger_for_ordinary_clients_warns(
    given: dict[str, Any], limits: Limits, rates: str
) -> None:
    ((key, warning),) = settings(**given).warnings(limits)
    assert key == "replay-window"
    assert f"sends more than {rates} a second" in warning


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, Limits()),
        ({"replay-window": "20s"}, Limits()),
        ({"replay-window": "650ms"}, Limits(ledger_messages=100, ledger_bytes=65536)),
        ({"replay-window": "0"}, Limits(ledger_messages=1)),
    ],
)
def test_replay_window_that_fits_the_ledger_does_not_warn(
    given: dict[str, Any], limits: Limits
) -> None:
    assert list(settings(**given).warnings(limits)) == []


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="pingtime"):
        settings(pingtime=1)


def test_plugin_registers_its_kind_and_schemes() -> None:
    registry: BackendRegistry = BackendRegistry("backend")
    plugin.wsgw_register_backends(registry)
    assert registry.kinds() == ("ws",)
    for name in ("ws", "wss"):
        registration = registry.find(name)
        assert registration is not None
        assert registration.options is WebSocketSettings
