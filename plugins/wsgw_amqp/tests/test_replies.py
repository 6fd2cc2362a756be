"""The replies of workers: what clients get, and the dead letters."""

from __future__ import annotations

import asyncio
from typing import Any

import aio_pika
import pytest
from wsgw_amqp.reply import Reply

from wsgw_core.api import BINARY, TEXT, Close, CloseCause, Limits, Message, ReplyOutcome

from .stand import Stand, standing

CONNECT = ["connect", "message", "disconnect"]


async def dead_letter(stand: Stand, url: str) -> Any:
    """Waits for the next dead letter and returns it."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(stand.names.dead)
        message = None
        async with asyncio.timeout(60):
            while message is None:
                message = await queue.get(fail=False)
                await asyncio.sleep(0.01)
        await message.ack()
        return message


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/plain", b"a", TEXT),
        ("text/html; charset=utf-8", "ü".encode(), TEXT),
        ("application/json", b"{}", TEXT),
        ("Application/Problem+JSON", b"{}", TEXT),
        ("application/octet-stream", b"a", BINARY),
        ("image/png", b"\xff", BINARY),
        (None, "ü".encode(), TEXT),
        (None, b"\xff", BINARY),
        ("text/plain", b"", TEXT),
    ],
)
async def test_content_type_selects_text_or_binary(
    broker_url: str, content_type: str | None, body: bytes, kind: Any
) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, _ = await stand.session()
        await stand.workers.reply(session_id, body, content_type=content_type)
        (message,) = await sink.until_messages(1)

    assert message == Message(kind, body)


async def test_valves_get_message_id_and_redelivered(
    broker_url: str,
) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, _ = await stand.session()
        await stand.workers.reply(session_id, b"x", message_id="worker-7", headers={"a": 1})
        (message,) = await sink.until_messages(1)

    assert isinstance(message, Reply)
    assert message.message_id == "worker-7"
    assert message.redelivered is False


async def test_large_reply_with_all_properties_arrives_complete(broker_url: str) -> None:
    properties = {
        "content_encoding": "identity",
        "priority": 3,
        "reply_to": "somewhere",
        "expiration": 60,
        "message_id": "1",
        "timestamp": 1,
        "type": "t",
        "app_id": "a",
    }
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, _ = await stand.session()
        body = b"0123456789abcdef" * 65_536
        await stand.workers.reply(session_id, body, **properties)
        (message,) = await sink.until_messages(1)

    assert message.data == body


@pytest.mark.parametrize("body", [b"", b"goodbye"])
async def test_worker_closes_session_after_body(broker_url: str, body: bytes) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, _ = await stand.session()
        headers: dict[str, Any] = {"wsgw-close": 4001, "wsgw-reason": "enough"}
        await stand.workers.reply(session_id, body, headers=headers)
        close = await sink.until_closed()

    assert close == Close(4001, "enough")
    assert [message.data for message in sink.messages] == ([body] if body else [])


@pytest.mark.parametrize(
    ("properties", "body", "why"),
    [
        ({"headers": {"wsgw-close": 1006}}, b"", "invalid"),
        ({"headers": {"wsgw-close": "soon"}}, b"", "invalid"),
        ({"content_type": "text/plain"}, b"\xff", "invalid"),
        ({}, b"x" * 1001, "too_large"),
    ],
)
async def test_invalid_reply_becomes_dead_letter(
    broker_url: str, properties: dict[str, Any], body: bytes, why: str
) -> None:
    limits = Limits(max_message_size=1000)
    async with standing(broker_url, events=CONNECT, limits=limits) as stand:
        session_id, sink, _ = await stand.session()
        await stand.workers.reply(session_id, body, **properties)
        dead = await dead_letter(stand, broker_url)
        await stand.workers.reply(session_id, b"the next one")
        await sink.until_messages(1)

        assert dead.body == body
        assert dead.headers["x-death"][0]["reason"] == "rejected"
        assert stand.metric(f'replies_dead_total{{why="{why}"}}') == 1
        assert sink.end is None


async def test_reply_without_session_id_becomes_dead_letter(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, _, _ = await stand.session()
        await stand.workers.event(session_id)
        reply_to = stand.workers.reply_to[session_id]
        connection = await aio_pika.connect(broker_url)
        async with connection:
            channel = await connection.channel()
            await channel.default_exchange.publish(aio_pika.Message(b"whose?"), reply_to)
        await dead_letter(stand, broker_url)

        assert stand.metric('replies_dead_total{why="invalid"}') == 1


async def test_reply_for_unknown_session_is_rejected_once(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, _, _ = await stand.session()
        await stand.workers.event(session_id)
        stand.workers.reply_to["nobody"] = stand.workers.reply_to[session_id]
        stand.control.outcome = ReplyOutcome.UNKNOWN_SESSION
        await stand.workers.reply("nobody", b"x")
        dead = await dead_letter(stand, broker_url)

        assert dead.headers["x-death"][0]["count"] == 1
        assert stand.metric('replies_dead_total{why="unknown_session"}') == 1
        assert stand.metric('replies_total{redelivered="true"}') == 0
        assert stand.metric('replies_total{redelivered="false"}') == 1


async def test_moved_session_still_gets_its_reply(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, connection = await stand.session()
        await stand.workers.event(session_id)
        connection.close(1001, "", CloseCause.SESSION_MOVES)
        await sink.until_closed()
        await stand.workers.reply(session_id, b"late", content_type="text/plain")
        await stand.until(lambda: stand.control.replies, "the reply")

        assert stand.control.replies == [(session_id, Message(TEXT, b"late"))]
        assert stand.metric("unacknowledged") == 0


async def test_close_for_moved_session_becomes_dead_letter(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, connection = await stand.session()
        await stand.workers.event(session_id)
        connection.close(1001, "", CloseCause.SESSION_MOVES)
        await sink.until_closed()
        await stand.workers.reply(session_id, b"late", headers={"wsgw-close": 1000})
        await dead_letter(stand, broker_url)

        assert not stand.control.replies


async def test_rejected_reply_is_only_counted_without_dead_letters(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT, dead_letter_exchange="") as stand:
        session_id, _, _ = await stand.session()
        await stand.workers.event(session_id)
        stand.control.outcome = ReplyOutcome.UNKNOWN_SESSION
        stand.workers.reply_to["nobody"] = stand.workers.reply_to[session_id]
        await stand.workers.reply("nobody", b"x")
        dead = 'replies_dead_total{why="unknown_session"}'
        await stand.until(
            lambda: stand.metric('replies_total{redelivered="false"}') == 1, "the reply"
        )

        assert stand.metric(dead) == 1


async def test_slow_client_is_closed_and_its_replies_become_dead_letters(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT, reply_buffer_messages=10) as stand:
        session_id, sink, connection = await stand.session()
        other_id, other_sink, _ = await stand.session()
        connection.pause()
        for number in range(11):
            await stand.workers.reply(session_id, str(number).encode())
            await stand.workers.reply(other_id, str(number).encode())
        await other_sink.until_messages(11)
        close = await sink.until_closed()
        dead = [await dead_letter(stand, broker_url) for _ in range(11)]

        assert close.code == 1008
        assert not close.abnormal
        assert sorted(int(each.body) for each in dead) == [*range(11)]
        assert stand.metric('replies_dead_total{why="slow_client"}') == 11
        assert stand.metric("buffer_closes_total") == 1
        assert stand.metric("unacknowledged") == 0
        assert stand.metric("reply_buffer_bytes") == 0


async def test_slow_clients_together_buffer_half_of_prefetch(broker_url: str) -> None:
    options: dict[str, Any] = {"prefetch": 20, "reply_buffer_messages": 8}
    async with standing(broker_url, events=CONNECT, **options) as stand:
        slow = [await stand.session() for _ in range(3)]
        for session_id, _, connection in slow:
            connection.pause()
            for _ in range(4):
                await stand.workers.reply(session_id, b"x")
        other_id, other_sink, _ = await stand.session()
        for _ in range(30):
            await stand.workers.reply(other_id, b"y")
        await other_sink.until_messages(30)
        await stand.until(lambda: any(sink.end for _, sink, _ in slow), "a close")

        assert sum(sink.end is not None for _, sink, _ in slow) == 1
        assert stand.metric("unacknowledged") == 8


async def test_buffered_replies_are_acknowledged_after_client_has_them(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT) as stand:
        session_id, sink, connection = await stand.session()
        other_id, other_sink, _ = await stand.session()
        connection.pause()
        for _ in range(5):
            await stand.workers.reply(session_id, b"x")
            await stand.workers.reply(other_id, b"y")
        await other_sink.until_messages(5)
        await stand.until(lambda: stand.metric("unacknowledged") == 5, "five that wait")
        connection.resume()
        await sink.until_messages(5)

        await stand.until(lambda: stand.metric("unacknowledged") == 0, "all acknowledged")


async def test_durable_reply_queue_expires(broker_url: str) -> None:
    async with standing(broker_url, events=CONNECT, replies_durable=True) as stand:
        session_id, _, _ = await stand.session()
        await stand.workers.event(session_id)
        name = stand.workers.reply_to[session_id]
        connection = await aio_pika.connect(broker_url)
        async with connection:
            channel = await connection.channel()
            arguments: dict[str, Any] = {
                "x-expires": 300_000,
                "x-dead-letter-exchange": stand.names.dead,
            }
            queue = await channel.declare_queue(name, durable=True, arguments=arguments)
            await queue.delete(if_unused=False)
    assert name
