from __future__ import annotations

from typing import Any

import hiredis
import pytest
from wsgw_redis.event_entry import EventEntries
from wsgw_redis.settings import RedisSettings

from wsgw_core.api import BINARY, TEXT, Close, CloseCause, DialRequest, Message

HEADERS = (("X-A", "1"), ("x-a", "ü"), ("traceparent", "00-1-2-01"), ("Cookie", "no"))


def entries(seen_up_to: int = 0, **keys: Any) -> EventEntries:
    given = {key.replace("_", "-"): value for key, value in keys.items()}
    settings = RedisSettings.model_validate({"url": "redis://a", **given})
    request = DialRequest("s1", "/chat/7?a=b", HEADERS, seen_up_to=seen_up_to)
    return EventEntries(request, settings, "stream", "replies", "ocpp1.6")


def read(packed: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Returns the start of a command, and the fields of its entry."""
    reader = hiredis.Reader()
    reader.feed(packed)
    parts = reader.gets()
    assert reader.gets() is False, "more than one command"
    end = parts.index(b"*")
    fields = parts[end + 1 :]
    assert len(fields) % 2 == 0
    return parts[:end], dict(zip(fields[::2], fields[1::2], strict=True))


def test_message_is_packed_correctly_by_a_clock_that_was_never_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 5.25)  # in 1970
    _, fields = read(entries().message(12, Message(TEXT, b"x")))
    assert int(fields[b"time"]) == 5250
    assert (fields[b"number"], fields[b"data"]) == (b"12", b"x")


@pytest.mark.parametrize("data", [b"", b"\r\n$3\r\n", b"x" * 100_000])
@pytest.mark.parametrize("headers", [[], ["X-A"]])
def test_fast_and_general_packing_are_equal(data: bytes, headers: list[str]) -> None:
    message = Message(BINARY, data)
    head, fields = read(entries(headers=headers).message(12, message))
    trimmed_head, again = read(entries(headers=headers, max_age="1h").message(12, message))
    assert head == [b"XADD", b"stream"]
    assert trimmed_head[:4] == [b"XADD", b"stream", b"MINID", b"~"]
    assert fields.keys() == again.keys()
    assert fields | {b"time": b""} == again | {b"time": b""}
    assert (fields[b"data"], fields[b"number"], fields[b"id"]) == (data, b"12", b"s1-12")
    assert int(fields[b"time"]) > 1_700_000_000_000
    assert fields.get(b"header.x-a") == ("1, ü".encode("latin-1") if headers else None)
    assert fields[b"traceparent"] == b"00-1-2-01"


def test_message_seen_by_earlier_backend_is_marked_replayed() -> None:
    made = entries(seen_up_to=5)
    assert read(made.message(5, Message(BINARY, b"x")))[1][b"replayed"] == b"1"
    assert b"replayed" not in read(made.message(6, Message(BINARY, b"x")))[1]


def test_hydration_messages_have_unique_ids() -> None:
    made = entries(seen_up_to=5)
    first, second = (read(made.message(0, Message(BINARY, b"x")))[1] for _ in range(2))
    assert (first[b"id"], second[b"id"]) == (b"s1-h5.1", b"s1-h5.2")
    assert (first[b"number"], b"replayed" in first) == (b"0", False)


def test_max_length_trims_stream() -> None:
    head, _ = read(entries(max_length=7).message(1, Message(BINARY, b"x")))
    assert head == [b"XADD", b"stream", b"MAXLEN", b"~", b"7"]


@pytest.mark.parametrize(
    ("cause", "by"),
    [
        (CloseCause.CLIENT_LEFT, b"client"),
        (CloseCause.BACKEND_ENDED, b"backend"),
        (CloseCause.GATEWAY_STOPS, b"gateway"),
        (CloseCause.SESSION_ENDED, b"gateway"),
    ],
)
def test_disconnect_event_names_who_ended_the_session(cause: CloseCause, by: bytes) -> None:
    packed = entries(headers=["X-A"]).disconnect(Close(4001, "bye"), cause, replayed=True)
    fields = read(packed)[1]
    assert (fields[b"by"], fields[b"code"], fields[b"reason"]) == (by, b"4001", b"bye")
    assert (fields[b"id"], fields[b"replayed"]) == (b"s1-d", b"1")
