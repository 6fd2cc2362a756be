"""The parts of requests and answers, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsgw_http.answer_order import AnswerOrder
from wsgw_http.answers import AnswerKind, codec_in, message_of
from wsgw_http.cloud_events import encoded
from wsgw_http.event_parser import EventParser
from wsgw_http.failures import BadAnswer, NoAnswer, Unavailable
from wsgw_http.fixed_headers import headers_in
from wsgw_http.line_splitter import LineSplitter
from wsgw_http.retry_pauses import RetryPauses
from wsgw_http.settings import HttpSettings
from wsgw_http.signatures import Signer
from wsgw_http.statuses import statuses_text
from wsgw_http.trace_context import TraceContext

from wsgw_core.api import BINARY, TEXT, Message

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_are_same_for_any_split(size: int) -> None:
    text = b"one\r\ntwo\n\nthree\rmore\r\n\rlast\r"
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    plain, any_end = LineSplitter(100, any_end=False), LineSplitter(100, any_end=True)
    assert [line for part in parts for line in plain.feed(part)] == [
        b"one",
        b"two",
        b"",
        b"three\rmore",
    ]
    assert plain.finish() == b"\rlast"
    assert [line for part in parts for line in any_end.feed(part)] == [
        *(b"one", b"two", b"", b"three", b"more", b"", b"last"),
    ]
    assert any_end.finish() == b""


@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=30))
def test_events_are_same_for_any_split(text: bytes, sizes: list[int]) -> None:
    def messages(parts: list[bytes]) -> tuple[list[Message], list[bytes], str]:
        events, lines, error = EventParser(50), LineSplitter(30, any_end=False), ""
        found: list[Message] = []
        split: list[bytes] = []
        try:
            for part in parts:
                found += events.feed(part)
        except BadAnswer as bad:
            error = bad.reason
        with suppress(BadAnswer):
            for part in parts:
                split += lines.feed(part)
        return found, split, error

    parts, start = [], 0
    for size in sizes:
        parts.append(text[start : start + size])
        start += size
    parts.append(text[start:])
    whole, several = messages([bytes([each]) for each in text]), messages(parts)
    if not whole[2] and not several[2]:
        assert whole[0] == several[0]
    assert bool(whole[2]) == bool(several[2])
    shorter = min(len(whole[1]), len(several[1]))
    assert whole[1][:shorter] == several[1][:shorter]
    assert all(len(message.data) <= 50 for message in whole[0])
    assert all(len(line) <= 30 for line in several[1])


@given(st.lists(st.text(alphabet="ab\u00fc: \x00", max_size=10), max_size=10))
def test_any_text_survives_event_stream(texts: list[str]) -> None:
    stream = "".join(f": comment\ndata: {text}\n\n" for text in texts).encode()
    assert EventParser(100).feed(stream) == [Message(TEXT, text.encode()) for text in texts]


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=UTF-8", "ü".encode(), "ü"),
        ('text/plain; charset="utf-8"', "ü".encode(), "ü"),
        ("text/plain;charset=ISO-8859-1", b"\xfc", "ü"),
        ("text/html; charset=windows-1252", b"\x80", "€"),
        ("application/json; charset=utf-16", "ü".encode("utf-16"), "ü"),
    ],
)
def test_text_is_decoded_with_named_charset(content_type: str, body: bytes, text: str) -> None:
    message = message_of(AnswerKind.TEXT, body, codec_in(content_type), 100)
    assert message == Message(TEXT, text.encode())


def test_text_that_is_not_in_named_charset_is_refused() -> None:
    with pytest.raises(BadAnswer, match="its charset is not one of"):
        codec_in("text/plain; charset=unicode_escape")
    with pytest.raises(BadAnswer, match="not in the charset"):
        message_of(AnswerKind.TEXT, b"x", "utf-16-le", 100)
    with pytest.raises(BadAnswer, match="longer than 3 bytes"):
        message_of(AnswerKind.TEXT, b"\xfc\xfc", "latin-1", 3)


def test_line_without_end_is_bounded() -> None:
    lines = LineSplitter(10, any_end=False)
    assert lines.feed(b"0123456789") == []
    with pytest.raises(BadAnswer, match="longer than 10 bytes"):
        lines.feed(b"0")


def test_event_of_many_small_fields_is_bounded() -> None:
    events = EventParser(100)
    with pytest.raises(BadAnswer, match="longer than 100 bytes"):
        events.feed(b"data: x\n" * 1000)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_become_messages(size: int) -> None:
    text = (
        b"\xef\xbb\xbf: comment\nevent: other\ndata: a\ndata:b\nretry: 5\n\n"
        b"id: 1\n\ndata\n\nevent: binary\ndata: AAE=\n\ndata: never ended"
    )
    events = EventParser(100)
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    assert [message for part in parts for message in events.feed(part)] == [
        Message(TEXT, b"a\nb"),
        Message(TEXT, b""),
        Message(BINARY, b"\x00\x01"),
    ]


async def test_actions_run_in_message_order() -> None:
    order, done = AnswerOrder(), []
    turns = [order.begin() for _ in range(4)]

    def act(number: int) -> Callable[[], None]:
        return lambda: done.append(number)

    order.finish(turns[2], act(2))
    order.finish(turns[1], act(1))
    waiting = asyncio.create_task(order.wait_for(turns[3]))
    await asyncio.sleep(0)
    assert not done
    order.finish(turns[0], act(0))
    assert done == [0, 1, 2]
    await asyncio.wait_for(waiting, 60)
    order.finish(turns[3], act(3))
    assert done == [0, 1, 2, 3]


def test_retry_pauses_double_with_jitter_up_to_limit() -> None:
    settings = HttpSettings.model_validate({"url": "http://a"})
    pauses, lost = RetryPauses(settings), NoAnswer("x")
    for retry, longest in ((1, 0.1), (2, 0.2), (3, 0.4), (50, 5.0)):
        found = {pauses.before(retry, lost) for _ in range(20)}
        assert longest / 2 <= min(found) < max(found) <= longest
    assert 2 <= pauses.before(1, Unavailable("x", 2.0)) <= 2.1
    assert 30 <= pauses.before(1, Unavailable("x", 3600.0)) <= 30.1


@pytest.mark.parametrize("given", ["", "00-xyz", TRACE.replace("0af7", "0AF7"), "00" + "-0" * 3])
def test_invalid_traceparent_starts_new_trace(given: str) -> None:
    trace = TraceContext((("traceparent", given), ("tracestate", "a=1")))
    (first,), (second,) = trace.headers(), trace.headers()
    assert first[0] == "traceparent"
    assert first[1][:36] == second[1][:36]
    assert first[1] != second[1]
    assert len(first[1]) == len(TRACE)


def test_cloudevent_subject_is_percent_encoded() -> None:
    assert encoded('/a b"%41/grün') == "/a%20b%22%2541/gr%C3%BCn"


def test_signature_matches_standard_webhooks_example() -> None:
    key = bytes.fromhex("31f290f7caf06298aad13c2350ff082cf648d88d8b2da4b0")
    made = dict(Signer(lambda: (key, key)).headers("msg_1", 1614265330, b'{"test": 2432232314}'))
    assert made["webhook-timestamp"] == "1614265330"
    one, other = made["webhook-signature"].split(" ")
    assert one == other
    assert one.startswith("v1,")


def test_statuses_round_trip_as_text() -> None:
    assert statuses_text(frozenset({500, 501, 502, 408, 429})) == "408, 429, 500-502"


def test_header_file_has_one_header_on_each_line() -> None:
    assert headers_in("Authorization: Bearer a:b\n\n X-A :1\n") == (
        ("Authorization", "Bearer a:b"),
        ("X-A", "1"),
    )
