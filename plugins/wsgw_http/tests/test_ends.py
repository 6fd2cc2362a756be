"""Disconnect events."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web
from websockets.asyncio.client import connect

from wsgw_core.testing.running_gateway import running_gateway

from .application import Application, Recorded
from .conftest import StartGateway

FAST = {"retry-backoff": "10ms", "max-retry-backoff": "100ms"}


async def test_disconnect_event_comes_once_after_last_message(
    application: Application, start_gateway: StartGateway
) -> None:
    async def slow(_: Recorded) -> None:
        await asyncio.sleep(0.02)

    application.on_message = slow
    gateway = await start_gateway(application)
    async with connect(f"{gateway.url}/chat") as client:
        for _ in range(10):
            await client.send("x")
        await client.close(4001, "bye")
    await application.until(lambda: application.of("disconnect"))
    events = [each.event for each in application.requests]
    assert events == ["connect", *["message"] * 10, "disconnect"]
    told = application.requests[-1]
    session = told.headers["X-Wsgw-Session"]
    assert told.headers["Idempotency-Key"] == f'"{session}-d"'
    described = told.json
    assert described.pop("duration") > 0
    assert described == {"code": 4001, "reason": "bye", "by": "client", "messages": 10}


async def test_messages_of_departed_client_come_before_disconnect_event(
    application: Application, start_gateway: StartGateway
) -> None:
    """The application is down when the client leaves."""
    gateway = await start_gateway(application, **FAST)
    async with connect(gateway.url) as client:
        await application.stop()
        for _ in range(10):
            await client.send("x")
        await client.close(4001, "bye")
    await asyncio.sleep(1)
    await application.start()
    await application.until(lambda: application.of("disconnect"))
    assert [each.number for each in application.of("message")] == [*range(1, 11)]
    (told,) = application.of("disconnect")
    assert told is application.requests[-1]
    assert (told.json["code"], told.json["reason"], told.json["by"], told.json["messages"]) == (
        *(4001, "bye", "client", 10),
    )


async def test_disconnect_event_is_retried_until_application_is_back(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application, **FAST, **{"disconnect-retries": 100})
    async with connect(gateway.url):
        await application.stop()
    await asyncio.sleep(0.3)
    await application.start()
    await application.until(lambda: application.of("disconnect"))
    assert gateway.count("http_disconnects_lost") == 0


async def test_disconnect_event_is_lost_after_its_retries(
    application: Application, start_gateway: StartGateway
) -> None:
    async def fail(_: Recorded) -> web.Response:
        return web.Response(status=500)

    application.on_disconnect = fail
    gateway = await start_gateway(application, **FAST, **{"disconnect-retries": 2})
    async with connect(gateway.url):
        pass
    async with asyncio.timeout(60):
        while not gateway.count("http_disconnects_lost"):  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)
    assert len(application.of("disconnect")) == 3
    assert [each.headers.get("X-Wsgw-Replayed") for each in application.of("disconnect")] == [
        None,
        "1",
        "1",
    ]


async def test_many_disconnect_events_keep_to_the_rate(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application, **{"disconnect-rate": 20})
    clients = [await connect(gateway.url) for _ in range(10)]
    await asyncio.gather(*(client.close() for client in clients))
    await application.until(lambda: len(application.of("disconnect")) == 10)
    first, *_, last = application.of("disconnect")
    assert last.at - first.at >= 0.9 * 9 / 20  # timers are not exact


async def test_stopping_gateway_sends_disconnect_event_for_each_session(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application)
    clients = [await connect(gateway.url) for _ in range(5)]
    await gateway.gateway.stop()
    assert [each.json["by"] for each in application.of("disconnect")] == ["gateway"] * 5
    for client in clients:
        await client.close()


async def test_stopping_gateway_does_not_wait_forever_for_disconnect_answers(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(_: Recorded) -> None:
        await asyncio.Event().wait()

    application.on_disconnect = never
    data = {
        "limits": {"close-timeout": "200ms"},
        "upstream": {"backends": [{"url": application.url}]},
    }
    async with running_gateway(data) as gateway:
        clients = [await connect(gateway.url) for _ in range(3)]
        with caplog.at_level(logging.WARNING, "wsgw"):
            await gateway.gateway.stop()
    assert len(application.of("disconnect")) == 3
    assert "a disconnect event is lost: the gateway is stopping" in caplog.text
    for client in clients:
        await client.close()


async def test_moved_session_sends_no_disconnect_event(
    application: Application, start_gateway: StartGateway
) -> None:
    async def take(_: Recorded) -> web.Response:
        return web.Response(text="taken")

    application.on_message = take
    other = Application()
    await other.start()
    try:
        gateway = await start_gateway(application, {"url": other.url, "id": "other", "priority": 2})
        async with connect(gateway.url) as client:
            await client.send("1")
            assert await client.recv() == "taken"
            backend = gateway.gateway.pool.find("app")
            assert backend is not None
            gateway.gateway.drain(backend.id)
            await other.until(lambda: other.of("connect"))
            [session] = gateway.gateway.sessions
            while not session.reconnects:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
            await client.send("2")
            (moved,) = await other.until_messages(1)
            assert moved.number == 2
            assert "X-Wsgw-Replayed" not in moved.headers
            (told,) = other.of("connect")
            assert told.json["reconnect"] is True
        await other.until(lambda: other.of("disconnect"))
        assert other.of("disconnect")[0].json["messages"] == 2
        assert not application.of("disconnect")
    finally:
        await other.stop()


async def test_cancelled_move_sends_no_disconnect_event(
    application: Application, start_gateway: StartGateway
) -> None:
    """The new application accepts the session, but the client stays with the old one and leaves."""
    left, asked, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def take(recorded: Recorded) -> web.Response:
        if recorded.number > 1:
            await left.wait()
        return web.Response(text="taken", headers={"X-Wsgw-State": "of the old one"})

    async def accept(_: Recorded) -> web.Response:
        asked.set()
        await answered.wait()
        return web.Response(text="never sent", headers={"X-Wsgw-State": "of the new one"})

    other = Application()
    application.on_message, other.on_connect = take, accept
    await other.start()
    try:
        gateway = await start_gateway(application, {"url": other.url, "id": "other", "priority": 2})
        async with connect(gateway.url) as client:
            await client.send("1")
            assert await client.recv() == "taken"
            backend = gateway.gateway.pool.find("app")
            assert backend is not None
            gateway.gateway.drain(backend.id)
            await asked.wait()
            await client.send("2")
            await application.until_messages(2)
            answered.set()
            while gateway.count("http_requests") < 3:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
        left.set()
        await application.until(lambda: application.of("disconnect"))
        (told,) = application.of("disconnect")
        assert told.json["messages"] == 2
        assert told.headers["X-Wsgw-State"] == "of the old one"
    finally:
        await other.stop()
    assert [each.event for each in other.requests] == ["connect"]


async def test_close_by_application_is_reported_as_its_own(
    application: Application, start_gateway: StartGateway
) -> None:
    async def close(_: Recorded) -> web.Response:
        return web.Response(status=204, headers={"X-Wsgw-Close": "4005 done"})

    application.on_message = close
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        await client.wait_closed()
    await application.until(lambda: application.of("disconnect"))
    (told,) = application.of("disconnect")
    assert (told.json["by"], told.json["code"], told.json["messages"]) == ("backend", 4005, 1)
