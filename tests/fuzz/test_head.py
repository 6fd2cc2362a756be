"""Any bytes as the head of a request are read as others read them, however they are split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .head import SEEDS, check

_NAMES = st.sampled_from(
    [
        b"Host",
        b"Upgrade",
        b"Connection",
        b"Sec-WebSocket-Key",
        b"Sec-WebSocket-Version",
        b"Sec-WebSocket-Protocol",
        b"Sec-WebSocket-Extensions",
        b"Origin",
        b"Content-Length",
        b"Transfer-Encoding",
        b"X-A",
    ]
)
_VALUES = st.one_of(
    st.sampled_from(
        [
            b"a",
            b"websocket",
            b"keep-alive, Upgrade",
            b"dGhlIHNhbXBsZSBub25jZQ==",
            b"13",
            b"permessage-deflate; server_max_window_bits=10",
            b"0",
            b"chunked",
        ]
    ),
    st.binary(max_size=8),
    st.text(st.sampled_from(' \t,;="/\\a\r\n\0\x7f\xfc'), max_size=8).map(
        lambda text: text.encode("latin-1")
    ),
)
_LINES = st.one_of(
    st.builds(lambda name, value: name + b": " + value, _NAMES, _VALUES),
    st.binary(max_size=12),
)
_TARGETS = st.one_of(
    st.lists(
        st.sampled_from([b"/", b"..", b".", b"%2e", b"%2F", b";", b"?", b"#", b"\\", b"a", b"%5c"]),
        max_size=6,
    ).map(lambda parts: b"/" + b"".join(parts)),
    st.binary(max_size=8),
    st.lists(
        st.sampled_from(
            [b"ws", b"http", b"://", b"a", b"b", b":80", b"@", b"/", b"?", b"#", b".."]
        ),
        max_size=6,
    ).map(b"".join),
)
_METHODS = st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"get", b"G(T", b""])
_VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b""])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Generates almost valid heads: a valid one with lines added, removed or changed."""
    first = b" ".join([draw(_METHODS), draw(_TARGETS), draw(_VERSIONS)])
    lines = list(draw(st.sampled_from(SEEDS))[1:].split(b"\r\n")[1:6])
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(lines)))
        lines[place : place + draw(st.integers(0, 1))] = [draw(_LINES)]
    end = draw(st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n"]))
    return b"\r\n".join([first, *lines]) + end + draw(st.binary(max_size=8))


@settings(max_examples=600)
@given(requests(), st.integers(0, 255))
def test_almost_valid_heads_are_read_alike(head: bytes, size: int) -> None:
    check(bytes([size]) + head)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_bytes_are_read_alike(data: bytes) -> None:
    check(data)


@settings(max_examples=50)
@given(st.integers(0, 255), st.integers(0, 30), st.integers(0, 3000))
def test_heads_around_the_bounds_are_read_alike(size: int, count: int, length: int) -> None:
    padding = b"X: a\r\n" * count + b"Y: " + b"y" * length
    check(bytes([size]) + SEEDS[0][1:-2] + padding + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("seed", "status"), list(zip(SEEDS, (101, 101, 400, 426, 101, 505), strict=True))
)
def test_each_seed_has_its_outcome(seed: bytes, status: int) -> None:
    assert check(seed).status == status
