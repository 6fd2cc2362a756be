"""From which sites browsers may connect."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from wsgw_core.config.patterns import OriginPattern
from wsgw_core.config.server_options import FrontendOptions
from wsgw_core.frontend.allowed_origins import is_origin_allowed


def allowed(origin: str | None, *patterns: str) -> bool:
    return is_origin_allowed(origin, [*map(OriginPattern.parse, patterns)])


@pytest.mark.parametrize(
    ("pattern", "origin", "allow"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://app.example", "HTTPS://App.Example:443", True),
        ("https://App.example:443", "https://app.example", True),
        ("https://app.example:0443", "https://app.example", True),
        ("http://app.example:80", "http://app.example", True),
        ("https://app.example", "http://app.example", False),
        ("https://app.example", "https://app.example:8443", False),
        ("https://app.example:8443", "https://app.example", False),
        ("https://app.example", "https://www.app.example", False),
        ("https://app.example", "https://app.example.evil", False),
        ("https://app.example", "https://evil-app.example", False),
        ("https://app.example", "https://app.example/", False),
        ("https://app.example", "https://app.example@evil", False),
        ("https://app.example", "https://evil https://app.example", False),
        ("https://app.example", "https://app.example, https://evil", False),
        ("https://app.example", "null", False),
        ("https://app.example", "", False),
        ("https://app.example", "\xe4", False),
        ("https://*.app.example", "https://a.app.example", True),
        ("https://*.app.example", "https://a.b.app.example", True),
        ("https://*.app.example", "https://app.example", False),
        ("https://*.app.example", "https://evilapp.example", False),
        ("https://*.app.example", "https://a.app.example.evil", False),
        ("https://*.app.example", "https://a.app.example:8443", False),
        ("https://*.app.example", "http://a.app.example", False),
        ("https://*.app.example", "https://*.app.example", False),
        ("https://*.app.example:8443", "https://a.app.example:8443", True),
        ("https://[::1]:8443", "https://[::1]:8443", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("file://", "file://", True),
        ("null", "null", True),
        ("null", "https://app.example", False),
    ],
)
def test_an_origin_is_allowed_if_a_pattern_matches(pattern: str, origin: str, allow: bool) -> None:
    assert allowed(origin, "https://other.example", pattern) is allow


def test_a_client_without_an_origin_is_allowed() -> None:
    assert allowed(None, "https://app.example")


@pytest.mark.parametrize("origin", [None, "null", "https://anywhere.example", "nonsense"])
def test_without_patterns_all_origins_are_allowed(origin: str | None) -> None:
    assert allowed(origin)


class TestOption:
    @pytest.mark.parametrize(
        "text", ["https://app.example", "https://*.app.example:8443", "null", "file://"]
    )
    def test_a_pattern_is_written_as_it_was_read(self, text: str) -> None:
        options = FrontendOptions.model_validate({"allowed-origins": [text]})
        assert options.model_dump(mode="json", by_alias=True)["allowed-origins"] == [text]

    @pytest.mark.parametrize(
        "wrong",
        [
            "*",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/path",
            "https://a.*.example",
            "https://*",
            "https://app.example:",
            "https://user@app.example",
            "https://b\xfccher.example",
            "//app.example",
            None,
            7,
        ],
    )
    def test_an_invalid_pattern_is_refused(self, wrong: object) -> None:
        with pytest.raises(ValidationError, match=r"such as https://app\.example"):
            FrontendOptions.model_validate({"allowed-origins": [wrong]})
