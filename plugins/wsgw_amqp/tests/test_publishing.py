"""The messages that a worker gets, and when they count as delivered."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import aio_pika
import pytest

from wsgw_core.api import BINARY, BackendDeclined, BackendUnavailable, Close, CloseCause, Message

from .stand import standing

ALL_EVENTS = ["connect", "message", "disconnect"]


async def test_bodies_and_properties_are_as_documented(broker_url: str) -> None:
    async with standing(broker_url, headers="User-Agent") as stand:
        before = int(time.time())
        headers = (("User-Agent", "charger/1"), ("Cookie", "secret"), ("traceparent", TRACE))
        session_id, sink, connection = await stand.session("/chat/7?t=x", headers=headers)
        connection.send(Message.from_text("grüße"))
        connection.send(Message(BINARY, b"\x00\x01\xff"))
        first = await stand.workers.message(session_id, 0)
        second = await stand.workers.message(session_id, 1)
        await sink.until_delivered(2)

    assert [first.body, second.body] == ["grüße".encode(), b"\x00\x01\xff"]
    assert first.content_type == "text/plain; charset=utf-8"
    assert second.content_type == "application/octet-stream"
    assert first.message_id == f"{session_id}-1"
    assert second.message_id == f"{session_id}-2"
    assert first.correlation_id == session_id
    assert first.type == "wsgw.message"
    assert first.app_id == "wsgw"
    assert first.delivery_mode == 2
    assert first.timestamp is not None
    assert before <= first.timestamp.timestamp() <= time.time()
    told = dict(first.headers)
    assert isinstance(told.pop("wsgw-tag"), int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(told.pop("cloudEvents:time")))
    assert told == {
        "wsgw-number": 1,
        "wsgw-path": "/chat/7",
        "traceparent": TRACE,
        "http-user-agent": "charger/1",
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": f"{session_id}-1",
        "cloudEvents:source": "/wsgw",
        "cloudEvents:type": "wsgw.message",
        "cloudEvents:subject": "/chat/7",
        "cloudEvents:partitionkey": session_id,
    }
    assert second.headers["wsgw-number"] == 2


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_properties_follow_the_options(broker_url: str) -> None:
    options: dict[str, Any] = {
        "persistent": False,
        "priority": 0,
        "expiration": "90s",
        "cloudevents": "knative",
        "routing_key": "{event}.{kind}.{path.2}",
    }
    async with standing(broker_url, **options) as stand:
        session_id, sink, connection = await stand.session("/chat/7")
        connection.send(Message.from_text(""))
        got = await stand.workers.message(session_id, 0)
        await sink.until_delivered(1)

    assert got.body == b""
    assert got.routing_key == "message.text.7"
    assert got.delivery_mode == 1
    assert got.priority == 0
    assert got.expiration == 90
    assert got.headers["ce-id"] == f"{session_id}-1"
    assert "cloudEvents:id" not in got.headers
    trace = str(got.headers["traceparent"])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace)


async def test_cloudevents_false_sends_no_such_headers(broker_url: str) -> None:
    async with standing(broker_url, cloudevents=False) as stand:
        session_id, _, connection = await stand.session()
        connection.send(Message.from_text("x"))
        got = await stand.workers.message(session_id, 0)

    assert set(got.headers) == {"wsgw-tag", "wsgw-number", "wsgw-path", "traceparent"}


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 1024 * 1024])
async def test_message_of_any_size_arrives_complete(broker_url: str, size: int) -> None:
    async with standing(broker_url) as stand:
        session_id, sink, connection = await stand.session()
        data = bytes(number % 251 for number in range(size))
        connection.send(Message(BINARY, data))
        got = await stand.workers.message(session_id, 0)
        await sink.until_delivered(1)

    assert got.body == data


async def test_message_seen_by_earlier_backend_is_marked_replayed(broker_url: str) -> None:
    async with standing(broker_url) as stand:
        session_id, _, connection = await stand.session(reconnect=True, seen_up_to=2)
        for text in ("one", "two", "three"):
            connection.send(Message.from_text(text))
        got = [await stand.workers.message(session_id, index) for index in range(3)]

    assert [each.headers.get("wsgw-replayed") for each in got] == [True, True, None]
    assert [each.headers["wsgw-number"] for each in got] == [1, 2, 3]


async def test_hydration_messages_have_no_number(broker_url: str) -> None:
    async with standing(broker_url) as stand:
        session_id, sink, connection = await stand.session(reconnect=True, seen_up_to=7)
        for text in ("first", "second"):
            connection._connection.send(Message.from_text(text))  # noqa: SLF001 - like the core
        connection.sent_count = 2
        got = [await stand.workers.message(session_id, index) for index in range(2)]
        await sink.until_delivered(2)

    assert [each.message_id for each in got] == [f"{session_id}-h0", f"{session_id}-h1"]
    assert not any("wsgw-number" in each.headers for each in got)
    assert not any("wsgw-replayed" in each.headers for each in got)


async def test_connect_event_comes_first_and_disconnect_event_last(broker_url: str) -> None:
    async with standing(broker_url, events=ALL_EVENTS) as stand:
        session = await stand.session("/chat/7?room=a&room=b", subprotocols=("x", "y"), peer="::1")
        session_id, _, connection = session
        for number in range(100):
            connection.send(Message.from_text(str(number)))
        await stand.end(session, Close(4001, "bye"))
        ended = await stand.workers.event(session_id, 1)
        connected = await stand.workers.event(session_id)
        count = len(stand.workers.messages[session_id])

    assert connected.pop("headers") == {}
    assert connected == {
        "type": "wsgw.connect",
        "id": f"{session_id}-c0",
        "path": "/chat/7",
        "query": {"room": ["a", "b"]},
        "subprotocols": ["x", "y"],
        "subprotocol": "x",
        "peer": "::1",
        "reconnect": False,
        "replayed": 0,
    }
    assert count == 100
    assert ended.pop("duration") >= 0
    assert ended == {
        "type": "wsgw.disconnect",
        "id": f"{session_id}-d",
        "code": 4001,
        "reason": "bye",
        "by": "client",
        "messages": 100,
    }


@pytest.mark.parametrize(
    ("cause", "by"),
    [
        (CloseCause.BACKEND_ENDED, "backend"),
        (CloseCause.GATEWAY_STOPS, "gateway"),
        (CloseCause.SESSION_ENDED, "gateway"),
    ],
)
async def test_disconnect_event_names_who_ended_the_session(
    broker_url: str, cause: CloseCause, by: str
) -> None:
    async with standing(broker_url, events=["disconnect"]) as stand:
        session = await stand.session()
        await stand.end(session, Close(1001), cause)
        event = await stand.workers.event(session[0])

    assert event["by"] == by


async def test_move_sends_no_disconnect_and_return_sends_connect(broker_url: str) -> None:
    async with standing(broker_url, events=ALL_EVENTS) as stand:
        session_id, sink, connection = await stand.session()
        connection.close(1001, "", CloseCause.SESSION_MOVES)
        await sink.until_closed()
        back = await stand.session(session_id=session_id, reconnect=True)
        await stand.end(back, Close(1000))
        events = [await stand.workers.event(session_id, index) for index in range(3)]

    assert [each["id"].removeprefix(session_id) for each in events] == ["-c0", "-c1", "-d"]
    assert [each.get("reconnect") for each in events] == [False, True, None]


async def test_disconnect_event_comes_without_open_connection(broker_url: str) -> None:
    async with standing(broker_url, events=["disconnect"]) as stand:
        session_id, sink, connection = await stand.session()
        connection.close(1001, "", CloseCause.SESSION_MOVES)
        await sink.until_closed()
        stand.backend.session_ended(session_id, Close(1006), CloseCause.CLIENT_LEFT)
        event = await stand.workers.event(session_id)

    assert event["code"] == 1006


@pytest.mark.parametrize("value", ["a.b", "*", "%23", "x" * 129, "x" * 300, "%00", "%ff"])
async def test_invalid_key_value_declines_client(broker_url: str, value: str) -> None:
    async with standing(broker_url, routing_key="{event}.{path.1}") as stand:
        with pytest.raises(BackendDeclined) as declined:
            await stand.session(f"/{value}")

    assert declined.value.status == 400


async def test_unroutable_message_moves_only_its_session(broker_url: str) -> None:
    async with standing(broker_url, routing_key="{path.1}", binding_keys="a") as stand:
        _, lost_sink, lost = await stand.session("/b")
        session_id, sink, connection = await stand.session("/a")
        lost.send(Message.from_text("nobody"))
        close = await lost_sink.until_closed()
        connection.send(Message.from_text("somebody"))
        await stand.workers.message(session_id, 0)
        await sink.until_delivered(1)

        assert close.code == 1013
        assert close.abnormal
        assert "'b'" in close.reason
        assert lost_sink.delivered_count == 0
        assert sink.end is None
        assert stand.metric("returned_total") == 1


async def test_dials_with_unroutable_key_fail_until_one_is_routed(broker_url: str) -> None:
    async with standing(broker_url, routing_key="{path.1}", binding_keys="a") as stand:
        _, sink, connection = await stand.session("/b")
        connection.send(Message.from_text("nobody"))
        await sink.until_closed()
        with pytest.raises(BackendUnavailable, match="'b'"):
            await stand.session("/b")
        await stand.session("/a")  # other keys work

        await stand.workers.bind()
        trial = None
        while trial is None:
            try:
                trial = await stand.session("/b")
            except BackendUnavailable:
                await asyncio.sleep(0.05)
        trial[2].send(Message.from_text("somebody"))
        await trial[1].until_delivered(1)
        await stand.session("/b")


async def test_unroutable_discard_counts_and_session_goes_on(broker_url: str) -> None:
    async with standing(broker_url, unroutable="discard", binding_keys="nothing") as stand:
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("one"))
        await sink.until_delivered(1)
        await stand.workers.bind()
        connection.send(Message.from_text("two"))
        await sink.until_delivered(2)

        assert sink.end is None
        assert stand.metric("returned_total") == 1


async def test_unroutable_close_ends_session(broker_url: str) -> None:
    async with standing(broker_url, unroutable="close", binding_keys="nothing") as stand:
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("one"))
        close = await sink.until_closed()

    assert close.code == 1011
    assert not close.abnormal


async def test_mandatory_false_returns_nothing(broker_url: str) -> None:
    async with standing(broker_url, mandatory=False, binding_keys="nothing") as stand:
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("one"))
        await sink.until_delivered(1)

        assert stand.metric("returned_total") == 0


async def test_unroutable_connect_event_moves_session(broker_url: str) -> None:
    async with standing(broker_url, events=ALL_EVENTS, binding_keys="nothing") as stand:
        _, sink, _ = await stand.session()
        close = await sink.until_closed()

        assert close.code == 1013
        assert stand.metric("events_lost_total") == 1


@pytest.mark.parametrize("routed", [0, 1])
async def test_two_attempts_in_flight_are_judged_separately(broker_url: str, routed: int) -> None:
    """After a move back, the same message is in flight twice, and one attempt is lost."""
    async with standing(broker_url, routing_key="{query.key}", binding_keys="there") as stand:
        keys = ["nowhere", "nowhere"]
        keys[routed] = "there"
        session_id, first_sink, first = await stand.session(f"/?key={keys[0]}")
        _, second_sink, second = await stand.session(
            f"/?key={keys[1]}", session_id=session_id, reconnect=True, seen_up_to=1
        )
        first.send(Message.from_text("the same"))
        second.send(Message.from_text("the same"))
        sinks = [first_sink, second_sink]
        close = await sinks[1 - routed].until_closed()
        await sinks[routed].until_delivered(1)
        got = await stand.workers.message(session_id, 0)

        assert close.code == 1013
        assert sinks[1 - routed].delivered_count == 0
        assert sinks[routed].end is None
        assert bool(got.headers.get("wsgw-replayed")) == (routed == 1)


async def test_full_queue_moves_only_its_session(broker_url: str) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    async with standing(broker_url, works=False, queue_arguments=full) as stand:
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("fits"))
        await sink.until_delivered(1)
        _, other_sink, _ = await stand.session()
        for _ in range(3):  # a queue may exceed its limit by one
            connection.send(Message.from_text("does not fit"))
        close = await sink.until_closed()

        assert close.code == 1013
        assert close.abnormal
        assert sink.delivered_count < 4
        assert stand.metric("nacked_total") >= 1
        assert other_sink.end is None
        assert not stand.control.losses


async def test_many_messages_leave_in_few_writes_and_are_confirmed(broker_url: str) -> None:
    async with standing(broker_url) as stand:
        sessions = [await stand.session() for _ in range(50)]
        for number in range(40):
            for _, _, connection in sessions:
                connection.send(Message.from_text(str(number)))
        for session_id, sink, _ in sessions:
            await sink.until_delivered(40)
            last = await stand.workers.message(session_id, 39)
            assert last.body == b"39"

        assert stand.metric("published_total") == 2000
        assert stand.metric("unconfirmed") == 0
        assert stand.metric("confirm_duration_seconds_count") == 2000
        first = stand.workers.messages[sessions[0][0]]
        assert [each.headers["wsgw-number"] for each in first] == [*range(1, 41)]


async def test_default_exchange_routes_to_queue_of_same_name(broker_url: str) -> None:
    connection = await aio_pika.connect(broker_url)
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    options: dict[str, Any] = {"exchange": "", "routing_key": queue.name, "queue": None}
    async with standing(broker_url, works=False, **options) as stand:
        session_id, sink, ours = await stand.session()
        ours.send(Message.from_text("there"))
        await sink.until_delivered(1)
        got = await queue.get(timeout=30)
    await connection.close()

    assert got.message_id == f"{session_id}-1"
    assert got.body == b"there"


async def test_headers_larger_than_frame_decline_only_their_client(
    broker_url: str,
) -> None:
    async with standing(broker_url, headers=["x-long"]) as stand:
        _, sink, other = await stand.session()
        with pytest.raises(BackendDeclined) as declined:
            await stand.session("/" + "{" * 7900, headers=(("x-long", "x" * 110_000),))
        assert declined.value.status == 431
        other.send(Message.from_text("still here"))
        await sink.until_delivered(1)
        assert sink.end is None
