"""Messages that the application does not answer correctly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .application import Application, Recorded
from .conftest import StartGateway

FAST = {"retry-backoff": "10ms", "max-retry-backoff": "20ms"}


async def close_code(client: ClientConnection) -> int:
    """Returns the close code of the gateway, after reading all messages."""
    with suppress(ConnectionClosed):
        async for _ in client:
            pass
    await client.wait_closed()
    assert client.close_code is not None
    return client.close_code


def keys(application: Application) -> Counter[str]:
    """Returns how often each message arrived."""
    return Counter(each.headers["Idempotency-Key"] for each in application.of("message"))


async def test_retry_after_is_obeyed_and_delays_later_messages(
    application: Application, start_gateway: StartGateway
) -> None:
    busy = [True]

    async def answer(recorded: Recorded) -> web.Response:
        if recorded.number == 5 and busy:
            busy.pop()
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        for _ in range(8):
            await client.send("x")
        assert [await client.recv() for _ in range(8)] == [str(n) for n in range(1, 9)]
    messages = application.of("message")
    assert [each.number for each in messages] == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    first, again = messages[4:6]
    assert again.at - first.at >= 1
    assert again.headers["Idempotency-Key"] == first.headers["Idempotency-Key"]
    assert "X-Wsgw-Replayed" not in first.headers
    assert again.headers["X-Wsgw-Replayed"] == "1"


async def test_retry_after_delays_concurrent_messages(
    application: Application, start_gateway: StartGateway
) -> None:
    busy = [True]

    async def answer(recorded: Recorded) -> web.Response:
        if recorded.number == 1 and busy:
            busy.pop()
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    gateway = await start_gateway(application, concurrency=4)
    async with connect(gateway.url) as client:
        await client.send("x")
        while gateway.count("http_requests") < 2:  # noqa: ASYNC110 - until the 429 has arrived
            await asyncio.sleep(0.01)
        await client.send("x")
        assert [await client.recv() for _ in range(2)] == ["1", "2"]
    assert [each.number for each in application.of("message")] == [1, 1, 2]


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
async def test_session_moves_when_application_stays_unavailable(
    application: Application, start_gateway: StartGateway, status: int
) -> None:
    """The next application gets the message again with the same key."""

    async def answer(recorded: Recorded) -> web.Response:
        if recorded.number == 2:
            return web.Response(status=status)
        return web.Response(text="here")

    async def answer_elsewhere(_: Recorded) -> web.Response:
        return web.Response(text="elsewhere")

    other = Application()
    application.on_message, other.on_message = answer, answer_elsewhere
    await other.start()
    try:
        gateway = await start_gateway(
            application, {"url": other.url, "id": "other", "priority": 2}, retries=1, **FAST
        )
        async with connect(gateway.url) as client:
            for expected in ("here", "elsewhere", "elsewhere"):
                await client.send("x")
                assert await client.recv() == expected
        second, third = other.of("message")
    finally:
        await other.stop()
    tried = application.of("message")
    assert [each.number for each in tried] == [1, 2, 2]
    assert [each.number for each in (second, third)] == [2, 3]
    assert second.headers["Idempotency-Key"] == tried[1].headers["Idempotency-Key"]
    assert second.headers["X-Wsgw-Replayed"] == "1"
    assert "X-Wsgw-Replayed" not in third.headers


@pytest.mark.parametrize(
    ("status", "code", "attempts"), [(410, 1000, 1), (500, 1011, 3), (501, 1011, 3)]
)
async def test_closing_status_closes_only_its_session(
    application: Application, start_gateway: StartGateway, status: int, code: int, attempts: int
) -> None:
    async def answer(recorded: Recorded) -> web.Response:
        if recorded.body == b"bad":
            return web.Response(status=status)
        return web.Response(text="fine")

    application.on_message = answer
    gateway = await start_gateway(application, **FAST)
    async with connect(gateway.url) as victim, connect(gateway.url) as other:
        await victim.send("bad")
        await victim.send("never sent")
        assert await close_code(victim) == code
        await other.send("good")
        assert await other.recv() == "fine"
        async with connect(gateway.url) as late:
            await late.send("good")
            assert await late.recv() == "fine"
    bodies = [each.body for each in application.of("message")]
    assert bodies.count(b"bad") == attempts
    assert b"never sent" not in bodies


@pytest.mark.parametrize("status", [301, 400, 404, 422])
async def test_message_with_rejecting_status_is_discarded(
    application: Application, start_gateway: StartGateway, status: int
) -> None:
    async def answer(recorded: Recorded) -> web.Response:
        if recorded.number == 1:
            return web.Response(status=status, text="no", headers={"Location": "/x"})
        return web.Response(text="yes")

    application.on_message = answer
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        await client.send("x")
        assert await client.recv() == "yes"
    assert gateway.count("http_discarded") == 1
    assert [each.number for each in application.of("message")] == [1, 2]


async def test_rule_for_2xx_applies_only_to_unusable_answers(
    application: Application, start_gateway: StartGateway
) -> None:
    async def answer(recorded: Recorded) -> web.Response:
        if recorded.number == 2:
            return web.Response(body=b"--x--", content_type="multipart/mixed")
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    rules = [{"statuses": ["200-299"], "do": "discard"}]
    gateway = await start_gateway(application, **{"on-error": rules})
    async with connect(gateway.url) as client:
        for _ in range(3):
            await client.send("x")
        assert [await client.recv(), await client.recv()] == ["1", "3"]
    assert gateway.count("http_discarded") == 1


async def test_error_rules_override_defaults(
    application: Application, start_gateway: StartGateway
) -> None:
    statuses = {1: 422, 2: 500, 3: 404, 4: 418}

    async def answer(recorded: Recorded) -> web.Response:
        return web.Response(status=statuses.get(recorded.number, 204), text="why")

    rules = [
        {"statuses": [422], "do": "answer"},
        {"statuses": ["500-599"], "do": "discard"},
        {"statuses": "404, 405", "do": "discard"},
        {"statuses": [418], "do": "close", "code": 4018},
    ]
    application.on_message = answer
    gateway = await start_gateway(application, **{"on-error": rules})
    async with connect(gateway.url) as client:
        for _ in range(4):
            await client.send("x")
        assert await client.recv() == "why"
        assert await close_code(client) == 4018
    assert set(keys(application).values()) == {1}


async def half(recorded: Recorded) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(recorded.request)
    await response.write(b"x" * 50)
    recorded.reset()
    return response


async def endless(recorded: Recorded) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(recorded.request)
    while True:
        await response.write(b"x" * 65536)


async def large(_: Recorded) -> web.Response:
    return web.Response(body=b"x" * 65537)


async def bomb(_: Recorded) -> web.Response:
    response = web.Response(body=bytes(10_000_000))
    response.enable_compression(web.ContentCoding.gzip)
    return response


async def no_text(_: Recorded) -> web.Response:
    return web.Response(body=b"\xff", content_type="text/plain")


async def several_parts(_: Recorded) -> web.Response:
    return web.Response(body=b"--x--", content_type="multipart/mixed")


async def strange_coding(_: Recorded) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Encoding": "br"})


@pytest.mark.parametrize(
    "rubbish", [half, endless, large, bomb, no_text, several_parts, strange_coding]
)
async def test_unusable_answer_closes_only_its_session(
    application: Application,
    start_gateway: StartGateway,
    rubbish: Callable[[Recorded], Awaitable[web.StreamResponse]],
) -> None:
    async def answer(recorded: Recorded) -> web.StreamResponse:
        if recorded.body == b"good":
            return web.Response(text="fine")
        return await rubbish(recorded)

    application.on_message = answer
    gateway = await start_gateway(application, retries=1, **FAST, **{"max-response": "64KiB"})
    async with connect(gateway.url) as other, connect(gateway.url) as victim:
        await victim.send("bad")
        assert await close_code(victim) == 1011
        await other.send("good")
        assert await other.recv() == "fine"
    assert Counter(each.body for each in application.of("message")) == {b"good": 1, b"bad": 2}


async def test_connection_lost_before_answer_is_retried_at_once(
    application: Application, start_gateway: StartGateway
) -> None:
    lost = [True]

    async def answer(recorded: Recorded) -> web.Response:
        if lost:
            lost.pop()
            recorded.reset()
        return web.Response(text="here")

    application.on_message = answer
    gateway = await start_gateway(application, retries=0)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "here"
    replayed = [each.headers.get("X-Wsgw-Replayed") for each in application.of("message")]
    assert replayed == [None, "1"]
    assert len(application.of("connect")) == 1


async def test_application_outage_loses_no_client(
    application: Application, start_gateway: StartGateway
) -> None:
    async def answer(recorded: Recorded) -> web.Response:
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    gateway = await start_gateway(application, **FAST)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "1"
        await application.stop()
        await client.send("x")
        await asyncio.sleep(0.3)
        await client.send("x")
        await application.start()
        assert [await client.recv(), await client.recv()] == ["2", "3"]
        again = application.of("connect")[-1]
        session = again.headers["X-Wsgw-Session"]
        assert again.json["reconnect"] is True
        assert again.headers["Idempotency-Key"] == f'"{session}-c1"'
    assert not [key for key, count in keys(application).items() if count > 1]


async def test_only_messages_sent_before_are_marked_replayed(
    application: Application, start_gateway: StartGateway
) -> None:
    """Messages that waited or reached no application are not marked."""
    answered = asyncio.Event()

    async def answer(recorded: Recorded) -> web.Response:
        if recorded.number == 1 and not answered.is_set():
            answered.set()
            await asyncio.Event().wait()
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    gateway = await start_gateway(application, retries=0)
    async with connect(gateway.url) as client:
        for _ in range(5):
            await client.send("x")
        await answered.wait()
        await application.stop()  # the first message is in flight
        await client.send("x")
        await asyncio.sleep(0.5)
        await application.start()
        assert [await client.recv() for _ in range(6)] == [*map(str, range(1, 7))]
    numbers = [each.number for each in application.of("message")]
    marked = [
        each.number for each in application.of("message") if "X-Wsgw-Replayed" in each.headers
    ]
    assert numbers == [1, *range(1, 7)]
    assert marked == [1]
    assert [each.json["replayed"] for each in application.of("connect")] == [0, 1]


async def test_message_that_breaks_every_connection_closes_its_session(
    application: Application, start_gateway: StartGateway
) -> None:
    async def answer(recorded: Recorded) -> web.Response:
        if recorded.body == b"bad":
            recorded.reset()
        return web.Response(text="fine")

    application.on_message = answer
    gateway = await start_gateway(application, retries=1, **FAST)
    async with connect(gateway.url) as victim, connect(gateway.url) as other:
        await victim.send("bad")
        assert await close_code(victim) == 1011
        await other.send("good")
        assert await other.recv() == "fine"


async def test_request_timeout_is_retried(
    application: Application, start_gateway: StartGateway
) -> None:
    slow = [True]

    async def answer(_: Recorded) -> web.Response:
        if slow:
            slow.pop()
            await asyncio.Event().wait()
        return web.Response(text="late")

    application.on_message = answer
    gateway = await start_gateway(application, **FAST, **{"request-timeout": "2s"})
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "late"
    assert list(keys(application).values()) == [2]


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Sun, 01 Jan 2040 00:00:00 +99999999999999999999",
        "soon",
    ],
)
async def test_invalid_retry_after_is_ignored(
    application: Application, start_gateway: StartGateway, value: str
) -> None:
    busy = [True]

    async def answer(recorded: Recorded) -> web.Response:
        if busy:
            busy.pop()
            return web.Response(status=503, headers={"Retry-After": value})
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "1"
