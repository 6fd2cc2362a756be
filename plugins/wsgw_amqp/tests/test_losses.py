"""What a backend says when its broker is lost, hangs or blocks; and how it goes on."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from wsgw_amqp.broker_node import BrokerNode, free_port

from wsgw_core.api import BackendUnavailable, Close, CloseCause, Message

from .memory_alarm import memory_alarm
from .proxied import proxied
from .stand import Stand, standing

CONNECT = ["connect", "message", "disconnect"]
CLOSE_ALL = '[rabbit_networking:close_connection(P, "bye") || P <- rabbit_networking:connections()]'


async def goes_on(stand: Stand) -> None:
    """Checks that a session is served, both ways."""
    session_id, sink, connection = await stand.session()
    connection.send(Message.from_text("on"))
    await sink.until_delivered(1)
    await stand.workers.message(session_id, 0)
    await stand.workers.reply(session_id, b"and back", content_type="text/plain")
    await sink.until_messages(1)


async def test_a_cut_without_a_reset_is_found_by_the_heartbeat(broker_url: str) -> None:
    async with proxied(broker_url) as (proxy, url), standing(url, heartbeat=1) as stand:
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("x"))
        await sink.until_delivered(1)
        proxy.freeze()
        close = await sink.until_closed()

        assert close == Close(1013, close.reason, abnormal=True)
        assert "nothing came from the broker" in close.reason
        assert len(stand.control.losses) == 1
        assert stand.metric("up") == 0
        await proxy.cut()
        proxy.thaw()
        await goes_on(stand)
        assert stand.metric("reconnects_total") == 1


@pytest.mark.slow
async def test_a_link_on_which_messages_go_by_all_the_time_is_not_given_up(broker_url: str) -> None:
    """The library sees none of them; it gives up what it finds silent for 6 seconds."""
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


async def test_a_broker_that_confirms_nothing_is_given_up(broker_url: str) -> None:
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


async def test_a_lost_exchange_is_a_loss_and_is_declared_again(broker_url: str) -> None:
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


async def test_a_deleted_queue_for_replies_is_a_loss_and_is_declared_again(
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


async def test_an_exclusive_queue_that_the_broker_still_keeps_gets_another_name(
    broker_url: str,
) -> None:
    """The broker has not noticed that the old connection is cut."""
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


async def test_a_disconnect_that_was_not_confirmed_comes_when_the_broker_is_back(
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


async def test_a_probe_that_makes_the_link_again_brings_the_events_that_wait(
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


async def test_a_new_link_forgets_which_keys_found_no_queue(broker_url: str) -> None:
    """It has bound the queue again; a session would wait a second for its turn."""
    async with proxied(broker_url) as (proxy, url), standing(url, broker=broker_url) as stand:
        _, sink, connection = await stand.session()
        await stand.workers.unbind()
        connection.send(Message.from_text("x"))
        await sink.until_closed()
        await proxy.cut()
        await stand.until(lambda: stand.control.losses, "the loss")
        await goes_on(stand)


async def test_events_that_no_broker_takes_are_counted(broker_url: str) -> None:
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


async def test_a_second_node_serves_when_the_first_is_gone(broker_url: str) -> None:
    parts = urlsplit(broker_url)
    dead = f"amqp://guest:guest@127.0.0.1:{free_port()}"
    async with standing(dead, hosts=[f"127.0.0.1:{parts.port}"], broker=broker_url) as stand:
        await goes_on(stand)


async def test_in_a_memory_alarm_clients_wait_and_replies_still_arrive(node: BrokerNode) -> None:
    async with standing(node.url, events=CONNECT) as stand:
        session_id, sink, connection = await stand.session()
        await stand.workers.event(session_id)
        # A broker without memory reads no publishers: the reply sets out before, and is late.
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
async def test_a_blocked_broker_does_not_keep_a_backend_from_closing(
    node: BrokerNode, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(node.url, confirm_timeout="200ms") as stand:
        _, _, connection = await stand.session()
        async with memory_alarm(node):
            connection.send(Message.from_text("1"))
            await stand.until(lambda: not stand.control.is_writable, "the block")
            async with asyncio.timeout(60):
                await stand.backend.close()

    assert "closed with 1 messages unconfirmed" in caplog.text


async def test_a_block_that_lasts_too_long_is_a_loss(node: BrokerNode) -> None:
    async with standing(node.url, blocked_timeout="200ms") as stand:
        _, sink, connection = await stand.session()
        async with memory_alarm(node):
            connection.send(Message.from_text("1"))
            close = await sink.until_closed()

        assert close.abnormal
        assert close.code == 1013
        assert "takes nothing" in close.reason
        await goes_on(stand)


async def test_connections_that_an_operator_closes_are_a_loss_with_his_reason(
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
async def test_a_killed_node_is_a_loss_and_dials_fail_until_it_is_back(node: BrokerNode) -> None:
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
