"""URLs made from handshakes: each value stays in its place."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgw_core.api import BackendDeclined, DialRequest, UrlTemplate


def expand(template: str, path: str = "/", **headers: str) -> str:
    request = DialRequest("S-1", path, tuple(headers.items()))
    return UrlTemplate(template).expand(request)


@pytest.mark.parametrize(
    ("template", "path", "url"),
    [
        ("http://app:9000/ws{path}", "/chat/7?t=x", "http://app:9000/ws/chat/7"),
        ("http://app{path}", "/", "http://app/"),
        ("http://app{path}", "/a%20b/c/", "http://app/a%20b/c/"),
        ("http://app{path}", '/a<b>"^`/', "http://app/a%3Cb%3E%22%5E%60/"),
        ("http://app{path}", "/%e2%80", "http://app/%e2%80"),
        ("http://app/{path.2}/x", "/a/b%20c", "http://app/b%20c/x"),
        ("http://app/{query.q}", "/?q=gr%C3%BCn%3F%26%23", "http://app/gr%C3%BCn%3F%26%23"),
        ("http://app/?room={query.q}&x=1", "/?q=a%26x=2/..", "http://app/?room=a%26x%3D2%2F..&x=1"),
        ("http://app/?p={path}", "/a/b", "http://app/?p=%2Fa%2Fb"),
        ("http://{path.1}.internal:80/", "/blue", "http://blue.internal:80/"),
    ],
)
def test_a_value_is_encoded_for_its_place(template: str, path: str, url: str) -> None:
    assert expand(template, path) == url


@pytest.mark.parametrize(
    "path",
    [
        "/..", "/../admin", "/a/../../b", "/%2e%2e/x", "/%2E/x", "/.", "/a//b", "//a", "/a%2fb",
        "/a%5Cb", "/%00", "/%0d%0aX:1", "/..;/admin", "/..;x=1", "/%zz", "/%",
    ],
)  # fmt: skip
def test_an_ambiguous_path_declines_the_client(path: str) -> None:
    with pytest.raises(BackendDeclined) as caught:
        expand("http://app/ws{path}", path)
    assert caught.value.status == 400


@pytest.mark.parametrize("value", ["..", ".", "a/b", "a\\b", "..;a", "a\rb", "\0", "x" * 9000])
def test_a_value_that_is_no_segment_declines_the_client(value: str) -> None:
    with pytest.raises(BackendDeclined):
        expand("http://app/{query.q}/x", f"/?q={quote(value, safe='')}")


def test_values_that_together_make_a_dot_segment_decline_the_client() -> None:
    with pytest.raises(BackendDeclined):
        expand("http://app/{query.a}{query.b}/x", "/?a=.&b=.")


@pytest.mark.parametrize(
    "host",
    ["[::1]", "a@b", "a:80", "a/b", "a?b", "a#b", "a b", "..", ".a", "-a", "é", "a%2Eb", "x" * 254],
)
def test_a_value_that_is_no_host_declines_the_client(host: str) -> None:
    with pytest.raises(BackendDeclined):
        expand("http://{header.h}/", h=host.encode().decode("latin-1"))


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("app/x", "is no URL"),
        ("{query.s}://app/", "query.s stands in the scheme"),
        ("http:///x", "has no valid host"),
        ("http://app:x/", "has no valid port"),
        ("http://app/#x", "fragment"),
        ("http://app/a b", "space"),
        ("http://app/../x", "one of dots"),
        ("http://app/{query.x|..}", "one of dots"),
        ("http://{query.x|a b}/", "query.x has a character"),
    ],
)
def test_a_url_that_can_serve_no_client_is_refused(template: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        UrlTemplate(template)


@pytest.mark.parametrize(
    ("template", "host"),
    [
        ("http://app", "app"),
        ("http://app:80/{path.1}", "app"),
        ("http://app{path}", "app"),
        ("http://app?x={path.1}", "app"),
        ("http://app{path.1}/", None),
        ("http://{header.h}/", None),
    ],
)
def test_the_constant_host_is_known_without_fields_in_it(template: str, host: str | None) -> None:
    assert UrlTemplate(template).constant_host == host


@given(st.text(), st.text(), st.text())
def test_no_value_changes_the_structure_of_a_url(host: str, segment: str, parameter: str) -> None:
    given_host, given_segment, given_parameter = (
        quote(each.encode("utf-8", "replace"), safe="") for each in (host, segment, parameter)
    )
    target = f"/?h={given_host}&s={given_segment}&p={given_parameter}"
    try:
        url = expand("http://x{query.h}.internal/a/{query.s}/b?p={query.p}&q=1", target)
    except BackendDeclined as declined:
        assert declined.status == 400  # noqa: PT017 - either is right
        return
    parts = urlsplit(url)
    assert re.fullmatch(r"[\x21-\x7e]+", url)
    assert parts.netloc == f"x{host}.internal"
    assert [unquote(each) for each in parts.path.split("/")] == ["", "a", segment, "b"]
    assert parse_qs(parts.query) == {"p": [parameter], "q": ["1"]}


@given(st.text(alphabet=st.sampled_from("/%.;2eEfF5cC?a")))
def test_no_path_leaves_the_folder_of_the_url(target: str) -> None:
    try:
        url = expand("http://app/ws{path}", "/" + target)
    except BackendDeclined:
        return
    path = urlsplit(url).path
    segments = [unquote(each).split(";")[0] for each in path.split("/")]
    assert path.startswith("/ws/")
    assert not {".", ".."} & set(segments)
