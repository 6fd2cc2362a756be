"""The connect event: what the application gets about a client, and the effect of its answer."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from wsgw_core.testing.running_gateway import running_gateway

from .application import Application, Recorded
from .conftest import StartGateway

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
OFFERS = [Subprotocol("a"), Subprotocol("b")]


async def refused(url: str) -> Response:
    """Returns the answer that a client gets instead of a websocket."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(url)
    return caught.value.response


async def test_accepting_answer_sets_subprotocol_and_cookie(
    application: Application, start_gateway: StartGateway
) -> None:
    async def accept(_: Recorded) -> web.Response:
        headers = {"Sec-WebSocket-Protocol": "b", "Set-Cookie": "id=7; Path=/", "X-Own": "secret"}
        return web.Response(headers=headers)

    application.on_connect = accept
    gateway = await start_gateway(
        application, **{"pass-answer-headers": ["set-cookie"], "pass-headers": ["X-Tenant"]}
    )
    url = f"{gateway.url}/chat/7?t=x&t=y&u="
    async with connect(url, subprotocols=OFFERS, additional_headers={"X-Tenant": "blue"}) as client:
        assert client.subprotocol == "b"
        assert client.response is not None
        assert client.response.headers["Set-Cookie"] == "id=7; Path=/"
        assert "X-Own" not in client.response.headers
    (told,) = application.of("connect")
    assert told.request.method == "POST"
    assert told.request.raw_path == "/ws/chat/7"
    assert told.headers["Content-Type"] == "application/json"
    assert told.json == {
        "path": "/chat/7",
        "query": {"t": ["x", "y"], "u": [""]},
        "headers": {"X-Tenant": "blue"},
        "subprotocols": ["a", "b"],
        "peer": "127.0.0.1",
        "reconnect": False,
        "replayed": 0,
    }
    session = told.headers["X-Wsgw-Session"]
    assert told.headers["Idempotency-Key"] == f'"{session}-c0"'
    assert "X-Wsgw-Number" not in told.headers


async def test_query_with_too_many_fields_is_declined_with_400(
    application: Application, start_gateway: StartGateway
) -> None:
    """Parsing it would delay all sessions."""
    gateway = await start_gateway(application)
    async with connect(f"{gateway.url}/?{'&'.join(['a'] * 1000)}"):
        (told,) = application.of("connect")
        assert len(told.json["query"]["a"]) == 1000
    answer = await refused(f"{gateway.url}/?{'&'.join(['a'] * 1001)}")
    assert (answer.status_code, answer.body) == (400, b"the query has too many fields\n")
    assert len(application.of("connect")) == 1


async def test_pass_query_appends_query_to_urls(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        application, url=f"{application.url}?of=ours", **{"pass-query": True}
    )
    async with connect(f"{gateway.url}/a%20b?t=x%2Fy"):
        pass
    assert application.of("connect")[0].request.raw_path == "/ws/a%20b?of=ours&t=x%2Fy"


@pytest.mark.parametrize(("setting", "chosen"), [("first", "a"), ("none", None), (["x", "b"], "b")])
async def test_subprotocol_setting_applies_when_application_chooses_none(
    application: Application,
    start_gateway: StartGateway,
    setting: str | list[str],
    chosen: str | None,
) -> None:
    gateway = await start_gateway(application, subprotocols=setting)
    async with connect(gateway.url, subprotocols=OFFERS) as client:
        assert client.subprotocol == chosen


async def test_refusal_is_passed_to_client(
    application: Application, start_gateway: StartGateway
) -> None:
    async def refuse(_: Recorded) -> web.Response:
        return web.Response(status=401, text="who?", headers={"WWW-Authenticate": "Bearer"})

    application.on_connect = refuse
    gateway = await start_gateway(application)
    answer = await refused(gateway.url)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.body == b"who?"


async def test_redirect_is_passed_to_client_and_not_followed(
    application: Application, start_gateway: StartGateway
) -> None:
    async def redirect(_: Recorded) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    application.on_connect = redirect
    gateway = await start_gateway(application)
    async with ClientSession() as session:
        url = gateway.url.replace("ws://", "http://")
        answer = await session.get(url, headers=HANDSHAKE, allow_redirects=False)
    assert answer.status == 302
    assert answer.headers["Location"] == "/elsewhere"
    assert len(application.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_unavailable_status_is_not_passed_to_client(
    application: Application, start_gateway: StartGateway, status: int
) -> None:
    async def busy(_: Recorded) -> web.Response:
        return web.Response(status=status)

    application.on_connect = busy
    gateway = await start_gateway(application)
    assert (await refused(gateway.url)).status_code == 502


async def test_unavailable_first_backend_lets_next_one_answer(
    application: Application, start_gateway: StartGateway
) -> None:
    async def busy(_: Recorded) -> web.Response:
        return web.Response(status=503)

    other = Application()
    application.on_connect = busy
    await other.start()
    try:
        gateway = await start_gateway(application, {"url": other.url, "id": "other", "priority": 2})
        async with connect(gateway.url):
            assert application.of("connect")
            (told,) = other.of("connect")
            assert told.json["reconnect"] is False
        await other.until(lambda: other.of("disconnect"))
        assert not application.of("disconnect")
    finally:
        await other.stop()


@pytest.mark.parametrize("fault", ["request timeout", "dial timeout", "hedged", "reset", "503"])
async def test_connect_event_that_another_application_may_have_is_marked(
    application: Application, fault: str
) -> None:
    async def fail(recorded: Recorded) -> web.Response:
        if fault == "503":
            return web.Response(status=503)
        if fault == "reset":
            recorded.reset()
        await asyncio.sleep(3600)
        raise AssertionError

    other = Application()
    application.on_connect = fail
    await other.start()
    first = {"url": application.url}
    if fault == "request timeout":
        first["request-timeout"] = "2s"
    config = {
        "upstream": {"backends": [first, {"url": other.url, "priority": 2}]},
        "failover": {
            "dial-timeout": "2s" if fault == "dial timeout" else "1h",
            "hedge-after": "300ms" if fault == "hedged" else 0,
        },
    }
    try:
        async with running_gateway(config) as gateway, connect(gateway.url):
            first_told, *again = application.of("connect")
            again += other.of("connect")
    finally:
        await other.stop()
    assert "X-Wsgw-Replayed" not in first_told.headers
    assert len(again) == (2 if fault == "reset" else 1)
    for told in again:
        assert told.headers["X-Wsgw-Replayed"] == "1"
        assert told.headers["Idempotency-Key"] == first_told.headers["Idempotency-Key"]


async def test_connect_event_after_an_unreachable_application_is_not_marked(
    application: Application,
) -> None:
    away = Application()
    await away.start()
    await away.stop()
    backends = [{"url": away.url}, {"url": application.url, "priority": 2}]
    async with (
        running_gateway({"upstream": {"backends": backends}}) as gateway,
        connect(gateway.url),
    ):
        assert gateway.count("dials_failed") == 1
        (told,) = application.of("connect")
    assert "X-Wsgw-Replayed" not in told.headers


@pytest.mark.parametrize("fault", ["dial timeout", "hedged"])
async def test_connect_event_after_one_that_was_never_sent_is_not_marked(
    application: Application, fault: str
) -> None:
    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    accepted: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    config = {
        "upstream": {
            "backends": [
                {"url": f"https://127.0.0.1:{port}"},  # no TLS, so no request
                {"url": application.url, "priority": 2},
            ]
        },
        "failover": {
            "dial-timeout": "2s" if fault == "dial timeout" else "1h",
            "hedge-after": "300ms" if fault == "hedged" else 0,
        },
    }
    async with running_gateway(config) as gateway, connect(gateway.url):
        (told,) = application.of("connect")
    assert len(accepted) == 1
    assert "X-Wsgw-Replayed" not in told.headers
    silent.close()
    for writer in accepted:
        writer.transport.abort()


async def test_session_refused_after_failover_is_closed(
    application: Application, start_gateway: StartGateway
) -> None:
    async def accept_new_ones(recorded: Recorded) -> web.Response:
        return web.Response(status=403 if recorded.json["reconnect"] else 204)

    async def busy(_: Recorded) -> web.Response:
        return web.Response(status=503)

    application.on_connect, application.on_message = accept_new_ones, busy
    gateway = await start_gateway(application, retries=0)
    async with connect(gateway.url) as client:
        await client.send("x")
        await client.wait_closed()
        assert client.close_code == 1008
    assert [each.json["reconnect"] for each in application.of("connect")] == [False, True]


async def test_subprotocol_that_was_not_offered_is_unusable_answer(
    application: Application, start_gateway: StartGateway
) -> None:
    async def choose(_: Recorded) -> web.Response:
        return web.Response(headers={"Sec-WebSocket-Protocol": "z"})

    application.on_connect = choose
    gateway = await start_gateway(application)
    with pytest.raises(InvalidStatus, match="502"):
        await connect(gateway.url, subprotocols=OFFERS)


async def test_unreachable_application_answers_client_with_502(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application)
    await application.stop()
    assert (await refused(gateway.url)).status_code == 502


async def test_body_of_connect_answer_is_first_message(
    application: Application, start_gateway: StartGateway
) -> None:
    async def greet(_: Recorded) -> web.Response:
        return web.json_response({"hello": 1})

    application.on_connect = greet
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        assert await client.recv() == '{"hello": 1}'


async def test_event_stream_of_connect_answer_is_passed_on(
    application: Application, start_gateway: StartGateway
) -> None:
    async def stream(recorded: Recorded) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(recorded.request)
        await response.write(b"data: one\n\ndata: two\n\n")
        await asyncio.Event().wait()
        return response

    application.on_connect = stream
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        assert [await client.recv(), await client.recv()] == ["one", "two"]
    await application.until(lambda: application.gone)


async def test_connect_false_accepts_every_client(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application, events={"connect": False, "disconnect": False})
    async with connect(gateway.url, subprotocols=OFFERS) as client:
        assert client.subprotocol == "a"
        await client.send("hello")
        (message,) = await application.until_messages(1)
    assert message.body == b"hello"
    assert {each.event for each in application.requests} == {"message"}


@pytest.mark.parametrize("path", ["/..", "/%2e%2e/x", "/a//b"])
async def test_path_that_leaves_the_template_is_declined_with_400(
    application: Application, start_gateway: StartGateway, path: str
) -> None:
    gateway = await start_gateway(application)
    assert (await refused(f"{gateway.url}{path}")).status_code == 400
    assert not application.requests


async def test_declining_answer_has_pass_answer_headers(
    application: Application, start_gateway: StartGateway
) -> None:
    async def decline(_: Recorded) -> web.Response:
        headers = {"Location": "/login", "Set-Cookie": "next=%2Fchat", "X-Own": "secret"}
        return web.Response(status=401, headers=headers)

    application.on_connect = decline
    gateway = await start_gateway(application, **{"pass-answer-headers": ["Set-Cookie"]})
    response = await refused(gateway.url)
    assert response.status_code == 401
    assert response.headers["Location"] == "/login"
    assert response.headers["Set-Cookie"] == "next=%2Fchat"
    assert "X-Own" not in response.headers


async def test_application_gets_each_header_once(
    application: Application, start_gateway: StartGateway
) -> None:
    names = ["Authorization", "User-Agent", "X-Key", "X_Key"]
    fixed = {"Authorization": "Basic b3Vycw==", "X-Key": "ours"}
    gateway = await start_gateway(application, **{"pass-headers": names, "headers": fixed})
    sent = {"Authorization": "Basic dGhlaXJz", "X-Key": "1", "X_Key": "2"}
    async with connect(gateway.url, additional_headers=sent, user_agent_header="me") as client:
        await client.send("x")
        await application.until_messages(1)
    for told in (*application.of("connect"), *application.of("message")):
        assert told.headers.getall("Authorization") == ["Basic b3Vycw=="]
        assert told.headers.getall("User-Agent") == ["me"]
        assert len(told.headers.getall("X-Forwarded-For")) == 1
        assert told.headers.getall("X-Key") == ["ours"]
        assert "X_Key" not in told.headers
