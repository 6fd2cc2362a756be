"""The connect event: what the application is told of a client, and what its answer means."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

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
    """Return the answer that a client gets instead of a websocket."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(url)
    return caught.value.response


async def test_the_application_accepts_with_a_subprotocol_and_a_cookie(
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
    described = told.json
    assert described.pop("peer")
    assert described == {
        "path": "/chat/7",
        "query": {"t": ["x", "y"], "u": [""]},
        "headers": {"X-Tenant": "blue"},
        "subprotocols": ["a", "b"],
        "reconnect": False,
        "replayed": 0,
    }
    session = told.headers["X-Wsgw-Session"]
    assert told.headers["Idempotency-Key"] == f'"{session}-c0"'
    assert "X-Wsgw-Number" not in told.headers


async def test_the_query_is_appended_where_that_is_wanted(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        application, url=f"{application.url}?of=ours", **{"pass-query": True}
    )
    async with connect(f"{gateway.url}/a%20b?t=x%2Fy"):
        pass
    assert application.of("connect")[0].request.raw_path == "/ws/a%20b?of=ours&t=x%2Fy"


@pytest.mark.parametrize(("setting", "chosen"), [("first", "a"), ("none", None), (["x", "b"], "b")])
async def test_without_a_choice_of_the_application_the_setting_counts(
    application: Application,
    start_gateway: StartGateway,
    setting: str | list[str],
    chosen: str | None,
) -> None:
    gateway = await start_gateway(application, subprotocols=setting)
    async with connect(gateway.url, subprotocols=OFFERS) as client:
        assert client.subprotocol == chosen


async def test_a_refusal_is_the_clients_answer(
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


async def test_a_redirect_is_the_clients_answer_and_is_not_followed(
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
async def test_an_application_that_is_not_available_is_no_answer_for_the_client(
    application: Application, start_gateway: StartGateway, status: int
) -> None:
    async def busy(_: Recorded) -> web.Response:
        return web.Response(status=status)

    application.on_connect = busy
    gateway = await start_gateway(application)
    assert (await refused(gateway.url)).status_code == 502


async def test_a_subprotocol_that_was_not_offered_is_an_unusable_answer(
    application: Application, start_gateway: StartGateway
) -> None:
    async def choose(_: Recorded) -> web.Response:
        return web.Response(headers={"Sec-WebSocket-Protocol": "z"})

    application.on_connect = choose
    gateway = await start_gateway(application)
    with pytest.raises(InvalidStatus, match="502"):
        await connect(gateway.url, subprotocols=OFFERS)


async def test_nobody_there_is_a_bad_gateway(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application)
    await application.stop()
    assert (await refused(gateway.url)).status_code == 502


async def test_the_body_of_the_answer_is_the_first_message(
    application: Application, start_gateway: StartGateway
) -> None:
    async def greet(_: Recorded) -> web.Response:
        return web.json_response({"hello": 1})

    application.on_connect = greet
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        assert await client.recv() == '{"hello": 1}'


async def test_an_event_stream_of_the_answer_is_passed_on_from_the_beginning(
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


async def test_without_a_connect_event_every_client_is_accepted(
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
async def test_a_path_that_would_lead_elsewhere_is_a_bad_request(
    application: Application, start_gateway: StartGateway, path: str
) -> None:
    gateway = await start_gateway(application)
    assert (await refused(f"{gateway.url}{path}")).status_code == 400
    assert not application.requests
