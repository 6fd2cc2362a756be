"""Which paths a pattern matches."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsgw_core.api.path_pattern import PathPattern, normal_path


def matches(pattern: str, target: str) -> bool:
    return PathPattern(pattern).matches(normal_path(target))


@pytest.mark.parametrize(
    ("pattern", "target"),
    [
        ("/", "/"),
        ("/chat", "/chat"),
        ("/chat", "/chat?room=/x"),
        ("/chat/*", "/chat/1"),
        ("/chat/*", "/chat/"),
        ("/v*/chat", "/v12/chat"),
        ("/*-*-x", "/a-b-c-x"),
        ("/**", "/"),
        ("/**", "/a/b"),
        ("/ocpp/**", "/ocpp"),
        ("/ocpp/**", "/ocpp/"),
        ("/ocpp/**", "/ocpp/1.6/CP1"),
        ("/**/socket", "/socket"),
        ("/**/socket", "/a/b/socket"),
        ("/a/**/b/**/c", "/a/x/b/b/c"),
        ("/a/**/b*/**/c", "/a/b1/c/b2/c"),
        ("/**/a/**/a/**", "/a/a"),
        ("/a b/ä", "/a%20b/%C3%A4"),
        ("/a%20b", "/a%20b"),
        ("/%61dmin", "/admin"),
        ("/admin", "/%61dmin"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2A", "/a*"),
        ("/a*b", "/a%2Fb"),
        ("/100%25", "/100%25"),
        ("/a.b", "/a.b"),
        ("/a//b", "/a//b"),
    ],
)
def test_matching_paths_match(pattern: str, target: str) -> None:
    assert matches(pattern, target)


@pytest.mark.parametrize(
    ("pattern", "target"),
    [
        ("/", "/a"),
        ("/chat", "/Chat"),
        ("/chat", "/chat/"),
        ("/chat", "/chats"),
        ("/chat/*", "/chat"),
        ("/chat/*", "/chat/1/2"),
        ("/*-*-x", "/a-x"),
        ("/ab*ba", "/aba"),
        ("/ocpp/**", "/ocpp2"),
        ("/ocpp/**", "/x/ocpp/1"),
        ("/**/socket", "/asocket"),
        ("/a/**/b", "/a"),
        ("/a/**/b/**/c", "/a/c/b"),
        ("/a/b", "/a%2Fb"),
        ("/a%2Fb", "/a%252Fb"),
        ("/a%2A", "/ab"),
        ("/a.b", "/axb"),
        ("/a/b", "/a//b"),
    ],
)
def test_other_paths_do_not_match(pattern: str, target: str) -> None:
    assert not matches(pattern, target)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("chat", "not a path"),
        ("", "not a path"),
        ("https://a/b", "not a path"),
        ("/a?b", "without query"),
        ("/a#b", "without query"),
        ("/a\0b", "written as %00"),
        ("/a**", "whole segments"),
        ("/a/***", "whole segments"),
    ],
)
def test_an_invalid_pattern_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PathPattern(text)


@pytest.mark.parametrize(
    ("text", "all_"),
    [("/**", True), ("/**/**", True), ("/", False), ("/*", False), ("/a/**", False)],
)
def test_a_pattern_that_matches_all_paths_says_so(text: str, *, all_: bool) -> None:
    assert PathPattern(text).matches_all is all_


# A model that says the same slowly.


def like(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return like(pattern[1:], text) or (bool(text) and like(pattern, text[1:]))
    return text[:1] == pattern[0] and like(pattern[1:], text[1:])


def all_like(patterns: list[str], texts: list[str]) -> bool:
    if not patterns:
        return not texts
    if patterns[0] == "**":
        return all_like(patterns[1:], texts) or (bool(texts) and all_like(patterns, texts[1:]))
    return bool(texts) and like(patterns[0], texts[0]) and all_like(patterns[1:], texts[1:])


PATTERN_SEGMENTS = st.just("**") | st.text("ab*", max_size=4).filter(lambda text: "**" not in text)
PATHS = st.lists(st.text("ab", max_size=4), min_size=1, max_size=6)


@given(st.lists(PATTERN_SEGMENTS, min_size=1, max_size=5), PATHS)
@example(["**", "a", "**", "a"], ["a", "a"])
@example(["a*b*a"], ["aba"])
def test_matching_equals_a_simple_model(pattern: list[str], path: list[str]) -> None:
    assert matches("/" + "/".join(pattern), "/" + "/".join(path)) == all_like(pattern, path)


@given(st.text("ab%/é", max_size=8))
def test_a_path_matches_itself_in_every_encoding(text: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in text.replace("/", "").encode())
    pattern = PathPattern("/" + text.replace("/", "").replace("%", "%25"))
    assert unquote(encoded) == text.replace("/", "")
    assert pattern.matches(normal_path("/" + encoded))


@pytest.mark.parametrize("pattern", ["/*a*a*a*a*b", "/**/a/**/a/**/a/**/b", "/**/*a*/**/*a*/**/b"])
def test_a_long_path_is_matched_in_linear_time(pattern: str) -> None:
    """A backtracking matcher would need years."""
    assert not matches(pattern, "/" + "a" * 30_000)
    assert not matches(pattern, "/a" * 15_000)
