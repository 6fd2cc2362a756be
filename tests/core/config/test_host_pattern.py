"""The hosts that a pattern matches."""

from __future__ import annotations

from typing import Any

import pytest

from wsgw_core.config.patterns import HostPattern, normal_host


@pytest.mark.parametrize(
    ("pattern", "field"),
    [
        ("chat.example.com", "chat.example.com"),
        ("Chat.Example.com", "CHAT.example.com:8080"),
        ("chat.example.com.", "chat.example.com"),
        ("chat.example.com", "chat.example.com.:443"),
        ("*.example.com", "chat.example.com"),
        ("*.example.com", "a.b.example.com:1"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1:80"),
        ("[2001:db8::1]", "[2001:DB8:0:0:0:0:0:1]:80"),
        ("[2001:db8:0::1]", "[2001:db8::1]"),
        ("my_host", "my_host"),
    ],
)
def test_pattern_matches_its_hosts(pattern: str, field: str) -> None:
    assert HostPattern.parse(pattern).matches(normal_host(field))


@pytest.mark.parametrize(
    ("pattern", "field"),
    [
        ("chat.example.com", "example.com"),
        ("example.com", "chat.example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", ".example.com"),
        ("*.example.com", "notexample.com"),
        ("example.com", "example.com.evil.example"),
        ("[2001:db8::1]", "[2001:db8::2]"),
        ("[::1]", "[:::1]"),
    ],
)
def test_pattern_does_not_match_other_hosts(pattern: str, field: str) -> None:
    assert not HostPattern.parse(pattern).matches(normal_host(field))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "a.*.b",
        "https://a",
        "a:80",
        "a/b",
        "[::1",
        "[x]",
        "[::1]:80",
        "bücher.example",
        None,
        True,
        192.0,
    ],
)
def test_invalid_host_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="not a host"):
        HostPattern.parse(text)


def test_pattern_is_written_in_normal_form() -> None:
    texts = ["Chat.example.com.", "*.EXAMPLE.com", "[2001:DB8:0::1]"]
    assert [str(HostPattern.parse(text)) for text in texts] == [
        "chat.example.com",
        "*.example.com",
        "[2001:db8::1]",
    ]
