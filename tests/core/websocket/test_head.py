"""Heads of HTTP messages that come in pieces."""

from __future__ import annotations

import time

import pytest

from wsgw_core.websocket import HeadReader, HeadTooLarge, StrayByte

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def feed_in_pieces(reader: HeadReader, data: bytes, size: int) -> bytes | None:
    """Returns the result of the last piece."""
    found = None
    for start in range(0, len(data), size):
        found = reader.feed(data[start : start + size])
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_pieces_of_any_size_make_a_head(size: int) -> None:
    reader = HeadReader(len(HEAD), strict=True)
    assert feed_in_pieces(reader, HEAD + b"\r\n\0rest", size) == reader.head == HEAD
    assert reader.rest == b"\r\n\0rest"
    assert reader.rest_size == 7


@pytest.mark.parametrize("strict", [True, False])
def test_a_head_beyond_the_limit_is_refused(strict: bool) -> None:
    reader = HeadReader(len(HEAD) - 1, strict=strict)
    reader.feed(HEAD[:-1])
    with pytest.raises(HeadTooLarge):
        reader.feed(HEAD[-1:])


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    "stray",
    [
        b"a\nb",
        b"\nb",
        b"a\rb",
        b"a\r\rb",
        b"a\0b",
        b"a\x0bb",
        b"a\x7fb",
        b"\x16\x03\x01",
        b"\r\n\nb",
    ],
)
def test_a_stray_control_character_is_refused_at_once(stray: bytes, size: int) -> None:
    with pytest.raises(StrayByte):
        feed_in_pieces(HeadReader(1000, strict=True), stray, size)
    assert HeadReader(1000).feed(stray) is None


def test_bytes_behind_the_head_may_be_anything() -> None:
    reader = HeadReader(1000, strict=True)
    assert reader.feed(HEAD + bytes(range(256))) == HEAD
    assert reader.feed(b"\n\0") == HEAD


def test_what_has_come_so_far_is_the_head_or_its_part_within_the_limit() -> None:
    reader = HeadReader(len(HEAD))
    reader.feed(HEAD[:5])
    assert reader.so_far == HEAD[:5]
    reader.feed(HEAD[5:] + b"rest")
    assert reader.so_far == HEAD
    too_large = HeadReader(4)
    with pytest.raises(HeadTooLarge):
        too_large.feed(HEAD)
    assert too_large.so_far == HEAD[:4]


def test_reading_byte_by_byte_takes_linear_time() -> None:
    def taken(size: int) -> float:
        reader = HeadReader(1_000_000, strict=True)
        began = time.thread_time()
        for _ in range(size):
            reader.feed(b"a")
        return time.thread_time() - began

    assert min(taken(64_000) for _ in range(3)) < 96 * min(taken(4_000) for _ in range(3))
