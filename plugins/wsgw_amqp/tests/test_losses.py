"""A broker that is lost, hangs or blocks: what the backend reports, and how it goes on."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from wsgw_amqp import events
from wsgw_amqp.broker_node import BrokerNode, free_port

from wsgw_core.api import BackendUnavailable, Close, CloseCause, Limits, Message

from .memory_alarm import memory_alarm
from .proxied import proxied
from .stand import Stand, standing

CONNECT = ["connect", "message", "disconnect"]
CLOSE_ALL = '[rabbit_networking:close_connection(P, "bye") || P <- rabbit_networking:connections()]'


async def goes_on(stand: Stand) -> None:
    """Asserts that messages and replies of a new session arrive."""
    session_id, sink, connection = await stand.session()
    connection.send(Message.from_text("on"))
    await sink.until_delivered(1)
    await stand.workers.message(session_id, 0)
    await stand.workers.reply(session_id, b"and back", content_type="text/plain")
    await sink.until_messages(1)


async def test_heartbeat_detects_cut_without_reset(broker_url: str) -> None:
    async with proxied(broker_url) as (proxy, url), standing(url, heartbeat=1) as stand:
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("x"))
        await sink.until_delivered(1)
        proxy.freeze()
        close = await sink.until_closed()

        assert close == Close(1013, close.reason, abnormal=True)
        assert "the broker was silent" in close.reason
        assert len(stand.control.losses) == 1
        assert stand.metric("up") == 0
        await proxy.cut()
        proxy.thaw()
        await goes_on(stand)
        assert stand.metric("reconnects_total") == 1


@pytest.mark.slow
async def test_busy_link_stays_open(broker_url: str) -> None:
    """aiormq sees none of the messages, and would close a connection that is silent for 6 s."""
    async with standing(broker_url, heartbeat=1) as stand:
        _, sink, connection = await stand.session()
        loop = asyncio.get_running_loop()
        end, count = loop.time() + 9, 0
        while loop.time() < end:
            connection.send(Message.from_text("x"))
            count += 1
            await asyncio.sleep(0.02)
        await sink.until_delivered(count)

        assert sink.end is None
        assert not stand.control.losses


async def test_broker_without_confirms_is_lost(broker_url: str) -> None:
    options: dict[str, Any] = {"heartbeat": 60, "confirm_timeout": "300ms"}
    async with proxied(broker_url) as (proxy, url), standing(url, **options) as stand:
        _, idle_sink, _ = await stand.session()
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("x"))
        await sink.until_delivered(1)
        proxy.freeze()
        connection.send(Message.from_text("y"))
        for each in (sink, idle_sink):
            close = await each.until_closed()
            assert "confirmed nothing for 0.3 s" in close.reason
        assert sink.delivered_count == 1
        proxy.thaw()


async def test_deleted_exchange_is_loss_and_is_declared_again(broker_url: str) -> None:
    async with standing(broker_url) as stand:
        _, sink, connection = await stand.session()
        worker = await aio_pika.connect(broker_url)
        async with worker:
            channel = await worker.channel()
            await channel.exchange_delete(stand.names.exchange)
        connection.send(Message.from_text("x"))
        close = await sink.until_closed()

        assert close.abnormal
        assert "404 NOT_FOUND" in close.reason
        await goes_on(stand)


async def test_deleted_reply_queue_is_loss_and_is_declared_again(
    broker_url: str,
) -> None:
    async with standing(broker_url, events=CONNECT, replies_durable=True) as stand:
        session_id, sink, _ = await stand.session()
        await stand.workers.event(session_id)
        worker = await aio_pika.connect(broker_url)
        async with worker:
            channel = await worker.channel()
            await channel.queue_delete(stand.workers.reply_to[session_id])
        close = await sink.until_closed()

        assert close.abnormal
        assert "cancelled the consumer" in close.reason
        await goes_on(stand)


async def test_reply_queue_still_locked_gets_another_name(
    broker_url: str,
) -> None:
    """The broker has not yet noticed the loss of the old connection."""
    async with proxied(broker_url) as (proxy, url), proxied(broker_url) as (other, other_url):
        options: dict[str, Any] = {"events": CONNECT, "heartbeat": 1, "connect_timeout": "500ms"}
        hosts = [urlsplit(other_url).netloc.rpartition("@")[2]]
        async with standing(url, broker=broker_url, hosts=hosts, **options) as stand:
            session_id, sink, _ = await stand.session()
            await stand.workers.event(session_id)
            before = stand.workers.reply_to[session_id]
            frozen = proxy if len(proxy) else other
            frozen.freeze()
            await sink.until_closed()
            back_id, _, _ = await stand.session()
            await stand.workers.event(back_id)

            assert stand.workers.reply_to[back_id].startswith(f"{before}.")
            frozen.thaw()


async def test_unconfirmed_disconnect_event_comes_after_outage(
    broker_url: str,
) -> None:
    async with (
        proxied(broker_url) as (proxy, url),
        standing(url, broker=broker_url, events=CONNECT) as stand,
    ):
        session_id, sink, _ = await stand.session()
        await stand.workers.event(session_id)
        await proxy.cut()
        await sink.until_closed()
        stand.backend.session_ended(session_id, Close(1006), CloseCause.CLIENT_LEFT)
        event = await stand.workers.event(session_id, 1)

        assert event["id"] == f"{session_id}-d"
        assert stand.metric("events_lost_total") == 0


async def test_probe_that_reconnects_publishes_waiting_events(
    broker_url: str,
) -> None:
    async with (
        proxied(broker_url) as (proxy, url),
        standing(url, broker=broker_url, events=CONNECT) as stand,
    ):
        session_id, sink, _ = await stand.session()
        await stand.workers.event(session_id)
        await proxy.cut()
        await sink.until_closed()
        stand.backend.session_ended(session_id, Close(1006), CloseCause.CLIENT_LEFT)
        await stand.backend.probe()
        event = await stand.workers.event(session_id, 1)

        assert event["id"] == f"{session_id}-d"


async def test_close_connects_once_more_for_waiting_events(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAUSE", 3600.0)  # so that nothing else connects
    async with (
        proxied(broker_url) as (proxy, url),
        standing(url, broker=broker_url, events=CONNECT) as stand,
    ):
        session_id, sink, _ = await stand.session()
        await stand.workers.event(session_id)
        await proxy.cut()
        await sink.until_closed()
        stand.backend.session_ended(session_id, Close(1006), CloseCause.CLIENT_LEFT)
        await stand.backend.close()
        event = await stand.workers.event(session_id, 1)

        assert event["id"] == f"{session_id}-d"
        assert stand.metric("events_lost_total") == 0


async def test_close_connects_once_more_no_longer_than_the_close_timeout(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAUSE", 3600.0)  # so that nothing else connects
    options: dict[str, Any] = {"events": CONNECT, "connect_timeout": "1h"}
    async with (
        proxied(broker_url) as (proxy, url),
        standing(url, broker=broker_url, limits=Limits(close_timeout=0.2), **options) as stand,
    ):
        session_id, sink, _ = await stand.session()
        await stand.workers.event(session_id)
        proxy.freeze()
        await proxy.cut()
        await sink.until_closed()
        stand.backend.session_ended(session_id, Close(1006), CloseCause.CLIENT_LEFT)
        async with asyncio.timeout(60):
            await stand.backend.close()

        assert stand.metric("events_lost_total") == 1


async def test_new_link_forgets_unroutable_keys(broker_url: str) -> None:
    """The new link has bound the queue again, so sessions need not wait a second."""
    async with proxied(broker_url) as (proxy, url), standing(url, broker=broker_url) as stand:
        _, sink, connection = await stand.session()
        await stand.workers.unbind()
        connection.send(Message.from_text("x"))
        await sink.until_closed()
        await proxy.cut()
        await stand.until(lambda: stand.control.losses, "the loss")
        await goes_on(stand)


async def test_lost_events_are_counted(broker_url: str) -> None:
    async with (
        proxied(broker_url) as (proxy, url),
        standing(url, broker=broker_url, events=CONNECT) as stand,
    ):
        session_id, sink, _ = await stand.session()
        await stand.workers.event(session_id)
        await proxy.stop()
        await sink.until_closed()
        stand.backend.session_ended(session_id, Close(1006), CloseCause.CLIENT_LEFT)
        await stand.backend.close()

        assert stand.metric("events_lost_total") == 1


async def test_second_node_serves_when_first_is_down(broker_url: str) -> None:
    parts = urlsplit(broker_url)
    dead = f"amqp://guest:guest@127.0.0.1:{free_port()}"
    async with standing(dead, hosts=[f"127.0.0.1:{parts.port}"], broker=broker_url) as stand:
        await goes_on(stand)


async def test_memory_alarm_pauses_clients_but_not_replies(node: BrokerNode) -> None:
    async with standing(node.url, events=CONNECT) as stand:
        session_id, sink, connection = await stand.session()
        await stand.workers.event(session_id)
        # A broker without memory reads no publishers, so the reply is sent before, with a delay.
        await stand.workers.reply_late(session_id, b"late", milliseconds=3000)
        async with memory_alarm(node):
            connection.send(Message.from_text("1"))
            await stand.until(lambda: not stand.control.is_writable, "the block")
            connection.send(Message.from_text("2"))
            late, late_sink, _ = await stand.session()
            (reply,) = await sink.until_messages(1)
            assert stand.metric("blocked") == 1
            assert reply.data == b"late"
            assert sink.end is None
        await sink.until_delivered(2)
        await stand.until(lambda: stand.control.is_writable, "the end of the block")
        await stand.workers.event(late)
        await stand.workers.message(session_id, 1)

        assert stand.metric("blocked") == 0
        assert not stand.control.losses
        assert late_sink.end is None
        numbers = [each.headers["wsgw-number"] for each in stand.workers.messages[session_id]]
        assert numbers == [1, 2]


@pytest.mark.slow
async def test_backend_closes_despite_blocked_broker(
    node: BrokerNode, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(node.url, confirm_timeout="200ms") as stand:
        _, _, connection = await stand.session()
        async with memory_alarm(node):
            connection.send(Message.from_text("1"))
            await stand.until(lambda: not stand.control.is_writable, "the block")
            async with asyncio.timeout(60):
                await stand.backend.close()

    assert "closed the link with 1 unconfirmed messages" in caplog.text


async def test_block_beyond_timeout_is_loss(node: BrokerNode) -> None:
    async with standing(node.url, blocked_timeout="200ms") as stand:
        _, sink, connection = await stand.session()
        async with memory_alarm(node):
            connection.send(Message.from_text("1"))
            close = await sink.until_closed()

        assert close.abnormal
        assert close.code == 1013
        assert "blocks the link" in close.reason
        await goes_on(stand)


async def test_connection_closed_by_operator_is_loss_with_reason(
    node: BrokerNode,
) -> None:
    async with standing(node.url) as stand:
        _, sink, _ = await stand.session()
        await asyncio.to_thread(node.evaluate, CLOSE_ALL)
        close = await sink.until_closed()

        assert close.abnormal
        assert "320 CONNECTION_FORCED - bye" in close.reason
        assert len(stand.control.losses) == 1
        await goes_on(stand)


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])  # a node starts slowly
async def test_dials_fail_until_killed_node_is_back(node: BrokerNode) -> None:
    async with standing(node.url) as stand:
        _, sink, _ = await stand.session()
        await asyncio.to_thread(node.kill)
        close = await sink.until_closed()
        with pytest.raises(BackendUnavailable):
            await stand.session()
        await asyncio.to_thread(node.start)

        assert close.abnormal
        await goes_on(stand)
        assert stand.metric("reconnects_total") == 1
