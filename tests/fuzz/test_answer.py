"""Any bytes as a backend's answer are accepted, declined or unusable, however they are split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .answer import RIGHT_ACCEPT, SEEDS, check

_NAMES = st.sampled_from(
    [
        b"Upgrade",
        b"Connection",
        b"Sec-WebSocket-Accept",
        b"Sec-WebSocket-Protocol",
        b"Sec-WebSocket-Extensions",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Location",
        b"Set-Cookie",
    ]
)
_VALUES = st.one_of(
    st.sampled_from(
        [
            b"websocket",
            b"Upgrade",
            RIGHT_ACCEPT,
            b"chat",
            b"soap, chat",
            b"permessage-deflate; client_max_window_bits=8",
            b"5",
            b"chunked",
        ]
    ),
    st.binary(max_size=8),
    st.text(st.sampled_from(' \t,;="/a\r\n\0\x7f\xfc'), max_size=8).map(
        lambda text: text.encode("latin-1")
    ),
)
_LINES = st.one_of(
    st.builds(lambda name, value: name + b": " + value, _NAMES, _VALUES),
    st.binary(max_size=12),
)
_FIRST = st.one_of(
    st.builds(
        lambda version, status: b"HTTP/%s %d X" % (version, status),
        st.sampled_from([b"1.1", b"1.1", b"1.0", b"2"]),
        st.sampled_from([101, 101, 101, 100, 103, 200, 204, 302, 304, 403, 500]),
    ),
    st.binary(max_size=12),
)
_BODIES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"5\r\nabcde\r\n0\r\n\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"abcde"]),
)


@st.composite
def all_answers(draw: st.DrawFn) -> bytes:
    """Generates almost valid answers, sometimes with another one before."""
    seeds = [seed[2:].partition(b"\r\n\r\n")[0] for seed in SEEDS]
    data = b""
    for _ in range(draw(st.integers(1, 2))):
        lines = draw(st.sampled_from(seeds)).split(b"\r\n")
        if draw(st.booleans()):
            lines[0] = draw(_FIRST)
        for _ in range(draw(st.integers(0, 2))):
            place = draw(st.integers(1, len(lines)))
            lines[place : place + draw(st.integers(0, 1))] = [draw(_LINES)]
        data += b"\r\n".join(lines) + b"\r\n\r\n"
    return data + draw(_BODIES)


@settings(max_examples=600)
@given(all_answers(), st.integers(0, 3), st.integers(0, 255))
def test_almost_valid_answers_keep_the_rules(answer: bytes, switches: int, size: int) -> None:
    check(bytes([switches, size]) + answer)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_bytes_keep_the_rules(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize(
    ("seed", "status"), list(zip(SEEDS, (101, 101, 403, 302, 401, 0, 404, 410), strict=True))
)
def test_each_seed_has_its_outcome(seed: bytes, status: int) -> None:
    outcome = check(seed)
    assert outcome.status == status
    assert (outcome.subprotocol, outcome.compressed) == (
        "soap" if seed is SEEDS[0] else None,
        seed is SEEDS[1],
    )
    bodies = {101: (b"rest", b""), 403: (b"no wa",), 302: (b"to the end",), 401: (b"no",)}
    assert status == 0 or outcome.body in bodies.get(status, (b"",))
