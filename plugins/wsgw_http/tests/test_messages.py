"""Messages as requests, and answers as messages."""

from __future__ import annotations

import asyncio
import base64
import random
import zlib
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .application import Application, Recorded
from .conftest import StartGateway

SECRETS = ["whsec_" + base64.b64encode(bytes([each]) * 24).decode() for each in (1, 2)]


def answering(
    *answers: web.Response, then: int = 204
) -> Callable[[Recorded], Awaitable[web.Response]]:
    """Returns a script with one answer after the other."""
    left = list(answers)

    async def answer(_: Recorded) -> web.Response:
        return left.pop(0) if left else web.Response(status=then)

    return answer


async def test_message_is_body_with_headers_of_its_event(
    application: Application, start_gateway: StartGateway
) -> None:
    application.on_message = answering(
        web.json_response({"ok": True}),
        web.Response(body=b"\xff\x00", content_type="application/octet-stream"),
    )
    gateway = await start_gateway(application, **{"signing-secrets": SECRETS})
    async with connect(f"{gateway.url}/chat/grün?x=1") as client:
        await client.send("hello")
        assert await client.recv() == '{"ok": true}'
        await client.send(b"\x00\xff\x01")
        assert await client.recv() == b"\xff\x00"
    first, second = application.of("message")
    assert (first.body, second.body) == (b"hello", b"\x00\xff\x01")
    assert first.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert second.headers["Content-Type"] == "application/octet-stream"
    session = first.headers["X-Wsgw-Session"]
    for number, each in enumerate((first, second), 1):
        assert each.request.method == "POST"
        assert each.number == number
        assert each.headers["Idempotency-Key"] == f'"{session}-{number}"'
        assert each.headers["webhook-id"] == f"{session}-{number}"
        assert "X-Wsgw-Replayed" not in each.headers
        assert each.headers["X-Forwarded-For"]
    assert first.headers["traceparent"][:35] == second.headers["traceparent"][:35]
    assert first.headers["traceparent"] != second.headers["traceparent"]


async def test_each_event_is_cloudevent_signed_with_each_secret(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application, **{"signing-secrets": SECRETS})
    async with connect(f"{gateway.url}/chat/7?x=1") as client:
        await client.send('{"a": 1}')
        await application.until_messages(1)
    await application.until(lambda: application.of("disconnect"))
    for each in application.requests:
        headers = {name.lower(): value for name, value in each.headers.items()}
        for secret in SECRETS:
            Webhook(secret).verify(each.body.decode(), headers)
        event = from_binary(HTTPMessage(headers, each.body), JSONFormat(), None)
        assert event.get_type() == f"wsgw.{each.event}"
        assert event.get_source() == "/wsgw"
        assert event.get_subject() == "/chat/7"
        assert event.get_id() == each.headers["webhook-id"]
        assert event.get_extension("partitionkey") == each.headers["X-Wsgw-Session"]
        assert event.get_time() is not None


async def test_client_trace_and_pass_headers_are_passed_on(
    application: Application, start_gateway: StartGateway
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = {
        "traceparent": trace,
        "tracestate": "a=1",
        "Authorization": "Bearer x",
        "Cookie": "c=1",
        "X-Wsgw-Number": "9",
    }
    gateway = await start_gateway(
        application,
        headers={"X-Api-Key": "k"},
        cloudevents=False,
        **{"pass-headers": ["Authorization"], "push-url": "http://gateway:8081/"},
    )
    async with connect(gateway.url, additional_headers=sent) as client:
        await client.send("x")
        (message,) = await application.until_messages(1)
    headers = message.headers
    session = headers["X-Wsgw-Session"]
    assert headers["traceparent"] == trace
    assert headers["tracestate"] == "a=1"
    assert headers["Authorization"] == "Bearer x"
    assert headers["X-Api-Key"] == "k"
    assert headers["X-Wsgw-Push"] == f"http://gateway:8081/session/send/{session}"
    assert headers["X-Wsgw-Number"] == "1"
    assert "Cookie" not in headers
    assert not [name for name in headers if name.lower().startswith(("ce-", "webhook-"))]


async def test_method_content_types_and_event_urls_are_configurable(
    application: Application, start_gateway: StartGateway
) -> None:
    base = f"http://127.0.0.1:{application.port}"
    gateway = await start_gateway(
        application,
        method="PUT",
        events={"connect": f"{base}/in", "message": f"{base}/m/{{path.1}}/{{query.room|lobby}}"},
        **{"content-type": {"text": "application/json", "binary": "application/x-own"}},
    )
    async with connect(f"{gateway.url}/a%20b") as client:
        await client.send("{}")
        await client.send(b"")
        await application.until_messages(2)
    await application.until(lambda: application.of("disconnect"))
    seen = [
        (r.request.method, r.request.raw_path, r.headers["Content-Type"])
        for r in application.requests
    ]
    assert seen == [
        ("POST", "/in", "application/json"),
        ("PUT", "/m/a%20b/lobby", "application/json"),
        ("PUT", "/m/a%20b/lobby", "application/x-own"),
        ("POST", "/ws/a%20b", "application/json"),
    ]


@pytest.mark.parametrize(
    ("media_type", "body", "expected"),
    [
        ("text/html; charset=utf-8", "é".encode(), "é"),
        ("application/vnd.x+json", b"{}", "{}"),
        ("application/xml", b"<a/>", "<a/>"),
        ("image/png", b"\x89PNG", b"\x89PNG"),
        ("", b"abc", b"abc"),
    ],
)
async def test_media_type_of_answer_selects_text_or_binary(
    application: Application,
    start_gateway: StartGateway,
    media_type: str,
    body: bytes,
    expected: str | bytes,
) -> None:
    application.on_message = answering(
        web.Response(body=body, headers={"Content-Type": media_type}),
        web.Response(status=202, body=b"x"),
    )
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == expected


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
async def test_encoded_content_is_decoded(
    application: Application, start_gateway: StartGateway, coding: str
) -> None:
    bits = {"gzip": 31, "deflate": 15, "raw deflate": -15}[coding]
    body = zlib.compress(b"abc" * 1000, wbits=bits)
    headers = {"Content-Encoding": coding.rsplit(maxsplit=1)[-1], "Content-Type": "text/plain"}
    application.on_message = answering(web.Response(body=body, headers=headers))
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "abc" * 1000


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_requests_and_answers_keep_their_order(
    application: Application, start_gateway: StartGateway, concurrency: int
) -> None:
    async def answer(recorded: Recorded) -> web.Response:
        await asyncio.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - a busy application
        return web.Response(text=str(recorded.number))

    application.on_message = answer
    gateway = await start_gateway(application, concurrency=concurrency)
    async with connect(gateway.url) as client:
        for _ in range(100):
            await client.send("x")
        answers = [await client.recv() for _ in range(100)]
    assert answers == [str(number) for number in range(1, 101)]
    assert application.most_in_flight <= concurrency
    numbers = [each.number for each in application.of("message")]
    assert numbers == sorted(numbers) if concurrency == 1 else sorted(numbers) == [*range(1, 101)]
    assert application.most_in_flight > 1 or concurrency == 1


async def test_state_is_kept_until_application_clears_it(
    application: Application, start_gateway: StartGateway
) -> None:
    states = ["two", "x" * 101, None, ""]

    async def connect_state(_: Recorded) -> web.Response:
        return web.Response(status=204, headers={"X-Wsgw-State": "one"})

    async def next_state(_: Recorded) -> web.Response:
        state = states.pop(0) if states else None
        return web.Response(status=204, headers={} if state is None else {"X-Wsgw-State": state})

    application.on_connect, application.on_message = connect_state, next_state
    gateway = await start_gateway(application, **{"state-bytes": 100})
    async with connect(gateway.url) as client:
        for _ in range(5):
            await client.send("x")
        messages = await application.until_messages(5)
    told = [each.headers.get("X-Wsgw-State") for each in messages]
    assert told == ["one", "two", "two", "two", None]
    assert gateway.count("http_states_ignored") == 1


async def test_concurrent_messages_keep_state_of_last_one(
    application: Application, start_gateway: StartGateway
) -> None:
    """The application answers the first message last."""
    others, asked = asyncio.Event(), 0

    async def answer(recorded: Recorded) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 3:
            others.set()
        if recorded.number < 3:
            await others.wait()
            await asyncio.sleep(0.1 / recorded.number)
        return web.Response(text="done", headers={"X-Wsgw-State": str(recorded.number)})

    application.on_message = answer
    gateway = await start_gateway(application, concurrency=3)
    async with connect(gateway.url) as client:
        for _ in range(3):
            await client.send("x")
        for _ in range(3):
            assert await client.recv() == "done"
        await client.send("x")
        await client.recv()
    assert application.of("message")[-1].headers["X-Wsgw-State"] == "3"


async def test_answer_closes_session_after_its_message(
    application: Application, start_gateway: StartGateway
) -> None:
    application.on_message = answering(
        web.Response(text="last", headers={"X-Wsgw-Close": "4001 that was all"})
    )
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "that was all")


@pytest.mark.parametrize("asked", ["1001 x", "999", "5000", "abc", "40000"])
async def test_invalid_close_code_does_not_close_session(
    application: Application, start_gateway: StartGateway, asked: str
) -> None:
    application.on_message = answering(
        web.Response(text="first", headers={"X-Wsgw-Close": asked}), web.Response(text="second")
    )
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        for expected in ("first", "second"):
            await client.send("x")
            assert await client.recv() == expected
