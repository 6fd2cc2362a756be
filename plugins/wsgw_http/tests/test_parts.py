"""The parts that requests and answers are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from wsgw_http.answer_order import AnswerOrder
from wsgw_http.cloud_events import encoded
from wsgw_http.event_parser import EventParser
from wsgw_http.failures import BadAnswer, NoAnswer, Unavailable
from wsgw_http.fixed_headers import headers_in
from wsgw_http.line_splitter import LineSplitter
from wsgw_http.retry_pauses import RetryPauses
from wsgw_http.signatures import Signer
from wsgw_http.statuses import statuses_text
from wsgw_http.trace_context import TraceContext
from wsgw_http.watched_file import WatchedFile

from wsgw_core.api import BINARY, TEXT, Message
from wsgw_core.testing.context import make_context

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_do_not_depend_on_how_they_come(size: int) -> None:
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


def test_a_line_without_an_end_is_bounded() -> None:
    lines = LineSplitter(10, any_end=False)
    assert lines.feed(b"0123456789") == []
    with pytest.raises(BadAnswer, match="longer than 10 bytes"):
        lines.feed(b"0")


def test_many_small_fields_of_an_event_are_bounded() -> None:
    events = EventParser(100)
    with pytest.raises(BadAnswer, match="longer than 100 bytes"):
        events.feed(b"data: x\n" * 1000)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_are_messages(size: int) -> None:
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


async def test_actions_take_place_in_the_order_of_the_messages() -> None:
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


def test_pauses_are_doubled_spread_and_bounded() -> None:
    pauses, lost = RetryPauses(0.1, 5.0, 30.0), NoAnswer("x")
    for retry, longest in ((1, 0.1), (2, 0.2), (3, 0.4), (50, 5.0)):
        found = {pauses.before(retry, lost) for _ in range(20)}
        assert longest / 2 <= min(found) < max(found) <= longest
    assert 2 <= pauses.before(1, Unavailable("x", 2.0)) <= 2.1
    assert 30 <= pauses.before(1, Unavailable("x", 3600.0)) <= 30.1


@pytest.mark.parametrize("given", ["", "00-xyz", TRACE.replace("0af7", "0AF7"), "00" + "-0" * 3])
def test_a_trace_is_made_where_there_is_no_valid_one(given: str) -> None:
    trace = TraceContext((("traceparent", given), ("tracestate", "a=1")))
    (first,), (second,) = trace.headers(), trace.headers()
    assert first[0] == "traceparent"
    assert first[1][:36] == second[1][:36]
    assert first[1] != second[1]
    assert len(first[1]) == len(TRACE)


def test_subjects_are_percent_encoded() -> None:
    assert encoded('/a b"%41/grün') == "/a%20b%22%2541/gr%C3%BCn"


def test_a_signature_is_that_of_the_specification() -> None:
    key = bytes.fromhex("31f290f7caf06298aad13c2350ff082cf648d88d8b2da4b0")
    made = dict(Signer(lambda: (key, key)).headers("msg_1", 1614265330, b'{"test": 2432232314}'))
    assert made["webhook-timestamp"] == "1614265330"
    one, other = made["webhook-signature"].split(" ")
    assert one == other
    assert one.startswith("v1,")


def test_statuses_are_written_as_they_are_read() -> None:
    assert statuses_text(frozenset({500, 501, 502, 408, 429})) == "408, 429, 500-502"


def test_headers_stand_one_on_a_line() -> None:
    assert headers_in("Authorization: Bearer a:b\n\n X-A :1\n") == (
        ("Authorization", "Bearer a:b"),
        ("X-A", "1"),
    )


async def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    context = make_context()
    now = [0.0]

    class Clock:
        def time(self) -> float:
            return now[0]

    object.__setattr__(context, "clock", Clock())
    file = tmp_path / "headers"
    file.write_text("X-A: 1\n")
    watched = WatchedFile(str(file), headers_in, context)

    async def value_becomes(expected: str) -> None:
        async with asyncio.timeout(60):
            while watched.value != (("X-A", expected),):
                now[0] += 20
                await asyncio.sleep(0.01)

    file.write_text("X-A: second\n")
    assert watched.value == (("X-A", "1"),)  # it is looked at every ten seconds
    await value_becomes("second")
    file.write_text("no header\n")
    for _ in range(5):
        now[0] += 20
        assert watched.value == (("X-A", "second"),)
        await asyncio.sleep(0.01)
    file.write_text("X-A: the third\n")
    await value_becomes("the third")
