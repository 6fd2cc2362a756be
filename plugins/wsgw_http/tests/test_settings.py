"""The options of a web application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from wsgw_http import plugin
from wsgw_http.settings import HttpSettings
from wsgw_http.signatures import signing_key

from wsgw_core.api import BackendRegistry, Limits

URL = "http://app:9000/ws{path}"


def settings(**options: Any) -> HttpSettings:
    return HttpSettings.model_validate({"url": URL, **options})


def test_url_alone_is_valid_configuration() -> None:
    made = settings()
    assert str(made.url) == URL
    assert made.retry_statuses == {408, 425, 429, 502, 503, 504}
    assert made.health.statuses == set(range(200, 500))
    assert made.private_is_allowed


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"url": "ws://app"}, "not a URL such as https://host:port/path"),
        ({"url": "http://user:pass@app/"}, "has a user name"),
        ({"url": "http://app/{nothing}"}, "unknown field"),
        ({"events": {"connect": "ftp://app"}}, "neither `false` nor a URL such as"),
        ({"events": {"connect": "maybe"}}, "events.connect\n.*neither `false` nor a URL such as"),
        ({"events": {"disconnect": 5}}, "events.disconnect\n.*neither `false` nor a URL such as"),
        ({"events": {"message": False}}, "message"),
        ({"pass-headers": ["X-Wsgw-State"]}, "the gateway sets"),
        *(
            ({"pass-headers": [name]}, "the gateway sets")
            for name in ("Host", "Accept-Encoding", "Traceparent", "X-Forwarded-For", "Forwarded")
        ),
        *(
            ({"headers": {name: "1"}}, "the gateway sets")
            for name in ("Content-Length", "Transfer-Encoding", "Connection", "Proxy-Connection")
        ),
        *(
            ({"headers": {name: "1"}}, "the gateway sets")
            for name in ("tracestate", "ce-id", "webhook-id", "Idempotency-Key", "X-Real-IP")
        ),
        *(
            ({"pass-answer-headers": [name]}, "cannot be passed on")
            for name in ("Content-Length", "Upgrade", "Sec-WebSocket-Protocol", "X-Wsgw-State")
        ),
        ({"content-type": {"text": "plain"}}, "not a media type"),
        ({"content-type": {"binary": "a/b\r\nX: 1"}}, "not a media type"),
        ({"health": {"path": "/#x"}}, "health.path"),
        ({"url": "http://app:0/"}, "no valid port"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "has control characters"),
        ({"signing-secrets": ["whsec_%%%"]}, "not base64"),
        ({"signing-secrets": ["whsec_"]}, "not base64"),
        ({"signing-secrets": ["YWJj"], "signing-secrets-file": "x"}, "are both set"),
        ({"retry-statuses": [99]}, "not a status"),
        ({"retry-statuses": "599-500"}, "ends before it begins"),
        ({"retry-statuses": "199-204"}, "200 is the status of a delivered message"),
        ({"on-error": [{"statuses": [500], "do": "ignore"}]}, "do"),
        ({"on-error": [{"statuses": [500], "do": "close", "code": 1005}]}, "not a close code"),
        ({"on-error": [{"statuses": [500], "do": "discard", "code": 4000}]}, "only with"),
        ({"max-connections": 200}, "must be above"),
        ({"tls": {}}, "needs a URL that begins with https://"),
        ({"push-url": "gateway:8081"}, "not a URL"),
        ({"push-url": "http://gateway:abc"}, "not a URL"),
        ({"push-url": "http://gateway:99999"}, "not a URL"),
        ({"push-url": "http://gateway/\r\nX-A: b"}, "not a URL"),
        ({"push-url": "http://gäteway/"}, "not a URL"),
        ({"push-url": "http://me:secret@gateway/"}, "has a user name"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_invalid_options_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(**given)


def test_event_urls_round_trip() -> None:
    events = {"connect": False, "message": "http://app/m", "disconnect": True}
    made = settings(events=events)
    written = made.model_dump(mode="json", by_alias=True)["events"]
    assert written == {"connect": False, "message": "http://app/m", "disconnect": None}
    assert settings(events=written) == made


def test_error_does_not_quote_secret() -> None:
    with pytest.raises(ValueError, match="not base64") as caught:
        signing_key("hunter2!")
    assert "hunter2" not in str(caught.value)


def test_statuses_accept_numbers_and_ranges() -> None:
    made = settings(**{"retry-statuses": "500-502, 429"})
    assert made.retry_statuses == {429, 500, 501, 502}
    assert made.model_dump(mode="json", by_alias=True)["retry-statuses"] == "429, 500-502"


def test_host_from_template_allows_only_public_addresses() -> None:
    assert not settings(url="http://{header.x-host}/").private_is_allowed
    assert not settings(events={"message": "http://{query.host}/"}).private_is_allowed
    assert settings(url="http://{header.x-host}/", **{"allow-private": True}).private_is_allowed


def test_configuration_check_reads_files(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\nMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx\n")
    bad.write_text("X-A: 1\nno header\n")
    made = settings(**{"signing-secrets-file": str(good), "headers-file": str(bad)})
    assert list(made.file_problems()) == [
        ("headers-file", f"{bad}: line 2: not of the form 'Name: value'")
    ]
    missing = settings(**{"signing-secrets-file": str(tmp_path / "none")})
    ((key, problem),) = missing.file_problems()
    assert key == "signing-secrets-file"
    assert "No such file" in problem


def test_suspicious_options_give_warnings() -> None:
    made = settings(**{"max-response": "2MiB", "signing-secrets": ["YWJj"]})
    assert [key for key, _ in made.warnings(Limits())] == ["max-response", "signing-secrets"]
    assert not list(settings().warnings(Limits()))


def test_plugin_registers_kind_and_schemes() -> None:
    registry: BackendRegistry = BackendRegistry("backend")
    plugin.wsgw_register_backends(registry)
    assert registry.kinds() == ("http",)
    for name in ("http", "https"):
        registration = registry.find(name)
        assert registration is not None
        assert registration.options is HttpSettings
