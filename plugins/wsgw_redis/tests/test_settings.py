from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from wsgw_redis.server_address import ServerAddress
from wsgw_redis.settings import RedisSettings

from wsgw_core.api import Limits

URL = "redis://localhost"


def settings(**keys: Any) -> RedisSettings:
    given = {key.replace("_", "-"): value for key, value in keys.items()}
    return RedisSettings.model_validate({"url": URL, **given})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", ServerAddress((("localhost", 6379),))),
        (
            "rediss://a%40:p%2F@h:1/3",
            ServerAddress((("h", 1),), database=3, username="a@", password="p/", secure=True),  # noqa: S106 - not a secret
        ),
        ("redis://[::1]:7", ServerAddress((("::1", 7),))),
        ("unix:///run/redis.sock?db=2", ServerAddress((), path="/run/redis.sock", database=2)),
        (
            "redis+sentinel://a,b:7/main/4",
            ServerAddress((("a", 26379), ("b", 7)), master="main", database=4),
        ),
        (
            "rediss+sentinel://a/main",
            ServerAddress((("a", 26379),), master="main", secure=True),
        ),
    ],
)
def test_url_is_parsed_into_address(url: str, address: ServerAddress) -> None:
    assert ServerAddress.parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "redis://",
        "redis://a/x",
        "redis://a/1/2",
        "redis://a:99999",
        "redis://a?db=1",
        "redis://a,b",
        "redis+sentinel://a,b",
        "redis+sentinel://a,/main",
        "unix://host/path",
        "unix://",
        "unix:///p?other=1",
        "redis://a/0#x",
    ],
)
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        RedisSettings.model_validate({"url": url})


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"tls": {}}, "rediss://"),
        ({"password": "a", "password_file": "/b"}, "are both set"),
        ({"sentinel_password": "a"}, r"redis\+sentinel://"),
        ({"max_length": 1, "max_age": "1h"}, "are both set"),
        ({"replies": "fixed"}, r"\{instance\}"),
        ({"replies": "{instance}:{session}"}, "field of the client"),
        ({"client_name": "a b"}, "space"),
        ({"events": ["connect"]}, "'message'"),
        ({"events": ["other"]}, "events"),
        ({"publish": "a"}, "mode: pubsub"),
        ({"require_subscribers": True}, "mode: pubsub"),
        ({"mode": "pubsub", "stream": "a"}, "'stream' is for streams"),
        ({"mode": "pubsub", "wait_replicas": 1}, "'wait-replicas' is for streams"),
        ({"stream": "{sesion}"}, "did you mean"),
        ({"stream": "{path}"}, "no client could be served"),
        ({"dead_letters": True}, "dead-letters"),
        ({"dead_letters": "a\nb"}, "invisible characters"),
        ({"username": "a\nb"}, "invisible characters"),
        ({"sentinel_username": ""}, "at least 1 character"),
        ({"replies_expiry": "1s"}, "replies-expiry"),
    ],
)
def test_invalid_options_are_refused(keys: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        settings(**keys)


def test_key_names_may_have_hash_tags() -> None:
    assert str(settings(stream="{{wsgw}}:{path.1}").stream) == "{{wsgw}}:{path.1}"


def test_trimming_options_give_warnings() -> None:
    warnings = dict(settings(max_length=10).warnings(Limits()))
    assert "no worker has read" in warnings["max-length"]
    assert not dict(settings().warnings(Limits()))


def test_missing_password_file_is_reported(tmp_path: Path) -> None:
    found = dict(settings(password_file=str(tmp_path / "none")).file_problems())
    assert "No such file" in found["password-file"]
    (tmp_path / "one").write_text("secret\n")
    assert not dict(settings(password_file=str(tmp_path / "one")).file_problems())
