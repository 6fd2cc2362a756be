"""Opening a session: the request to the backend and the answer to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .raw_client import Answer, raw_client, request
from .scripted_backend import ScriptedBackend

ProcessRequest = Callable[[ServerConnection, Request], Response | None]


def answering(status: int, *fields: tuple[str, str], body: bytes = b"") -> ProcessRequest:
    """Return a handler that answers every handshake like this."""

    def process_request(_connection: ServerConnection, _request: Request) -> Response:
        headers = Headers([*fields, ("Content-Length", str(len(body)))])
        return Response(status, HTTPStatus(status).phrase, headers, body)

    return process_request


async def ask(gateway: RunningGateway, text: str) -> Answer:
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(text)
        return await client.answer()


async def backend_sees(
    gateway: RunningGateway, backend: ScriptedBackend, *fields: str, target: str = "/"
) -> Request:
    """Return the request that reaches the backend when a client asks with these fields."""
    answer = await ask(gateway, request(*fields, target=target))
    assert answer.status == 101
    seen = (await backend.connection()).request
    assert seen is not None
    return seen


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 426),
        (request().replace("GET", "POST", 1), 405),
        (request(leave_out="Sec-WebSocket-Key"), 400),
        (request(leave_out="Connection"), 400),
        ("\x16\x03\x01 nonsense\r\n\r\n", 400),
    ],
    ids=["plain", "other upgrade", "post", "no key", "no connection", "no http"],
)
async def test_invalid_handshake_is_refused_and_reaches_no_backend(
    gateway: RunningGateway, backend: ScriptedBackend, text: str, status: int
) -> None:
    answer = await ask(gateway, text)

    assert answer.status == status
    assert answer.values("Connection") == ["upgrade, close" if status == 426 else "close"]
    assert backend.accepted == 0


async def test_other_websocket_version_is_answered_426_with_version_13(
    gateway: RunningGateway,
) -> None:
    answer = await ask(
        gateway, request("Sec-WebSocket-Version: 8", leave_out="Sec-WebSocket-Version")
    )

    assert answer.status == 426
    assert answer.values("Sec-WebSocket-Version") == ["13"]


async def test_request_pipelined_after_a_refused_one_is_not_read(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    answer = await ask(gateway, "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + request())

    assert answer.status == 426
    assert b"HTTP/" not in answer.body
    assert backend.accepted == 0


@pytest.mark.parametrize(
    "sections",
    [
        {"limits": {"max-header-bytes": "2KiB"}},
        {"server": {"frontend": {"address": "127.0.0.1:0", "max-header-bytes": "2KiB"}}},
    ],
    ids=["limits", "frontend"],
)
async def test_head_over_the_limit_is_answered_431(
    start_gateway: StartGateway, sections: dict[str, Any]
) -> None:
    gateway = await start_gateway("ws://127.0.0.1:1", **sections)

    answer = await ask(gateway, request(f"X-Long: {'x' * 3000}"))

    assert answer.status == 431


@pytest.mark.parametrize(
    "sections",
    [
        {"limits": {"handshake-timeout": "50ms"}},
        {"server": {"frontend": {"address": "127.0.0.1:0", "read-timeout": "50ms"}}},
    ],
    ids=["limits", "frontend"],
)
async def test_unfinished_request_is_answered_408(
    start_gateway: StartGateway, sections: dict[str, Any]
) -> None:
    gateway = await start_gateway("ws://127.0.0.1:1", **sections)

    answer = await ask(gateway, "GET / HTTP/1.1\r\nHost: a\r\n")

    assert answer.status == 408


async def test_waiting_client_is_answered_503_when_the_gateway_stops(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled = asyncio.Event()
    silence = asyncio.Event()

    async def hesitate(_connection: ServerConnection, _request: Request) -> Response | None:
        dialled.set()
        await silence.wait()
        return None

    gateway = await start_gateway(await start_backend(process_request=hesitate))
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request())
        await dialled.wait()
        stopping = asyncio.create_task(gateway.gateway.stop())
        answer = await client.answer()
        silence.set()
        await stopping

    assert answer.status == 503
    assert answer.values("Retry-After") == ["1"]


async def test_backend_lost_while_the_gateway_stops_causes_no_error(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled = asyncio.Event()
    lose = asyncio.Event()

    async def break_off(connection: ServerConnection, _request: Request) -> Response | None:
        dialled.set()
        await lose.wait()
        connection.transport.abort()
        return None

    gateway = await start_gateway(await start_backend(process_request=break_off))
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request())
        await dialled.wait()
        stopping = asyncio.create_task(gateway.gateway.stop())
        head = await client.reader.readuntil(b"\r\n\r\n")
        lose.set()
        rest = await client.reader.read()
        await stopping

    assert b" 503 " in head
    assert b"HTTP/1.1" not in rest
    assert gateway.count("handshakes_refused") == 1


async def test_client_is_answered_only_after_the_backend_has_answered(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled = asyncio.Event()
    go_on = asyncio.Event()

    async def hesitate(_connection: ServerConnection, _request: Request) -> Response | None:
        dialled.set()
        await go_on.wait()
        return None

    gateway = await start_gateway(await start_backend(process_request=hesitate))
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request())
        answer = asyncio.create_task(client.answer())
        await dialled.wait()
        await asyncio.sleep(0.05)
        assert not answer.done()
        go_on.set()
        assert (await answer).status == 101


async def test_dial_ends_when_the_client_leaves_before_its_answer(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def hesitate(connection: ServerConnection, _request: Request) -> Response | None:
        dialled.put_nowait(connection)
        await connection.wait_closed()
        return None

    gateway = await start_gateway(await start_backend(process_request=hesitate))
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request())
        connection = await dialled.get()
        client.vanish()
        await connection.wait_closed()


@pytest.mark.parametrize("status", [500, 503])
async def test_failing_backend_is_skipped(
    start_gateway: StartGateway, start_backend: StartBackend, status: int
) -> None:
    broken = await start_backend(process_request=answering(status))
    down = await start_backend()
    await down.down()
    good = await start_backend()
    gateway = await start_gateway(broken, down, good)

    for _ in range(3):
        async with connect(gateway.url):
            await good.connection()

    assert good.accepted == 3
    assert gateway.count("dials_failed") > 0


async def test_backend_that_does_not_speak_http_is_skipped(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        gateway = await start_gateway(f"ws://127.0.0.1:{port}", backend)
        async with connect(gateway.url):
            await backend.connection()


async def test_backend_that_never_answers_is_skipped(
    start_gateway: StartGateway, start_backend: StartBackend, backend: ScriptedBackend
) -> None:
    async def hesitate(connection: ServerConnection, _request: Request) -> Response | None:
        await connection.wait_closed()
        return None

    mute = await start_backend(process_request=hesitate)
    gateway = await start_gateway({"url": mute.url, "handshake-timeout": "50ms"}, backend)

    async with connect(gateway.url):
        await backend.connection()


async def test_client_is_answered_502_when_every_backend_fails(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    broken = await start_backend(process_request=answering(500, body=b"stack trace"))
    down = await start_backend()
    await down.down()
    gateway = await start_gateway(broken, down)

    answer = await ask(gateway, request())

    assert answer.status == 502
    assert b"stack trace" not in answer.body
    assert gateway.count("dials_failed") == 2


async def test_client_is_answered_504_after_the_search_timeout(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled: asyncio.Queue[ServerConnection] = asyncio.Queue()
    waking = asyncio.Event()

    async def hesitate(connection: ServerConnection, _request: Request) -> Response | None:
        if not waking.is_set():
            dialled.put_nowait(connection)
            await connection.wait_closed()
        return None

    mute = [await start_backend(process_request=hesitate) for _ in range(2)]
    gateway = await start_gateway(
        *mute, failover={"search-timeout": "1500ms", "dial-timeout": "1m", "hedge-after": "100ms"}
    )

    answer = await ask(gateway, request())

    assert answer.status == 504
    assert answer.body == b"no backend answered in time\n"
    assert gateway.count("searches_timed_out") == 1
    assert dialled.qsize() == 2
    for _ in mute:
        await (await dialled.get()).wait_closed()  # all dials have ended
    waking.set()
    while (answer := await ask(gateway, request())).status == 504:
        pass  # on a busy machine even these dials may take too long
    assert answer.status == 101


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 499])
async def test_decline_of_a_backend_is_passed_on_without_retry(
    start_gateway: StartGateway, start_backend: StartBackend, status: int
) -> None:
    async def decline(_request: web.Request) -> web.Response:
        return web.Response(
            status=status,
            body=b'{"why": "closed"}',
            headers={
                "WWW-Authenticate": 'Basic realm="a"',
                "Location": "https://elsewhere.example/",
                "Retry-After": "7",
                "Content-Type": "application/problem+json",
                "Set-Cookie": "a=b",
                "X-Powered-By": "steam",
            },
        )

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", decline)
    async with TestServer(application, host="127.0.0.1") as declining:
        other = await start_backend()
        gateway = await start_gateway(f"ws://127.0.0.1:{declining.port}", other)
        answer = await ask(gateway, request(target="/any/where"))

    assert answer.status == status
    assert answer.values("WWW-Authenticate") == ['Basic realm="a"']
    assert answer.values("Location") == ["https://elsewhere.example/"]
    assert answer.values("Retry-After") == ["7"]
    assert answer.values("Content-Type") == ["application/problem+json"]
    assert answer.body == b'{"why": "closed"}'
    assert answer.names == {
        "connection",
        "content-length",
        "content-type",
        "location",
        "retry-after",
        "www-authenticate",
    }
    assert other.accepted == 0
    assert gateway.count("dials_failed") == 0


async def test_all_challenges_of_a_decline_are_passed_on(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    challenges = (("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Basic realm="a"'))
    gateway = await start_gateway(await start_backend(process_request=answering(401, *challenges)))

    answer = await ask(gateway, request())

    assert answer.values("WWW-Authenticate") == ["Negotiate", 'Basic realm="a"']


async def test_body_of_a_decline_over_the_limit_is_omitted(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    long = answering(403, body=b"x" * 1_000_000)
    gateway = await start_gateway(await start_backend(process_request=long))

    answer = await ask(gateway, request())

    assert answer.status == 403
    assert len(answer.body) <= 64 * 1024
    assert answer.values("Content-Length") == [str(len(answer.body))]


async def test_client_libraries_report_a_declined_handshake(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    gateway = await start_gateway(await start_backend(process_request=answering(403)))

    with pytest.raises(InvalidStatus) as refused:
        async with connect(gateway.url):
            pass
    async with ClientSession() as session:
        with pytest.raises(WSServerHandshakeError) as refused_too:
            await session.ws_connect(gateway.url)

    assert refused.value.response.status_code == 403
    assert refused_too.value.status == 403


@pytest.mark.parametrize(
    ("base", "target", "wanted"),
    [
        ("", "/", "/"),
        ("", "/a/b?x=1&y=%20", "/a/b?x=1&y=%20"),
        ("/", "/a", "/a"),
        ("/base", "/a?x=1", "/base/a?x=1"),
        ("/base/", "/a", "/base/a"),
        ("/base", "/", "/base/"),
        ("/base", "/?x=1", "/base/?x=1"),
        ("/b%2Fc", "/%E4%B8%AD//d/e;f=..%2F", "/b%2Fc/%E4%B8%AD//d/e;f=..%2F"),
        ("/base", "/a?b=/../c", "/base/a?b=/../c"),
    ],
)
async def test_path_and_query_of_the_client_are_appended_to_the_backends_url(
    start_gateway: StartGateway, backend: ScriptedBackend, base: str, target: str, wanted: str
) -> None:
    gateway = await start_gateway(backend.url + base)

    seen = await backend_sees(gateway, backend, target=target)

    assert seen.path == wanted


async def test_headers_of_the_client_reach_the_backend_in_order(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    seen = await backend_sees(
        gateway,
        backend,
        "Cookie: a=1",
        "X-Many: one",
        "Authorization: Bearer t",
        "x-many: two, three",
        "X-MANY: four",
        "X-Latin: gr\xfc\xdfe",
    )

    assert seen.headers.get_all("X-Many") == ["one", "two, three", "four"]
    assert seen.headers["Cookie"] == "a=1"
    assert seen.headers["Authorization"] == "Bearer t"
    assert seen.headers["X-Latin"] == "gr\xfc\xdfe"


async def test_hop_by_hop_headers_of_the_client_are_not_forwarded(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    seen = await backend_sees(
        gateway,
        backend,
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Proxy-Authorization: Basic eA==",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "X-Stays: yes",
    )

    assert seen.headers.get_all("Connection") == ["Upgrade"]
    assert seen.headers.get_all("Upgrade") == ["websocket"]
    assert seen.headers.get_all("Sec-WebSocket-Version") == ["13"]
    assert len(seen.headers.get_all("Sec-WebSocket-Key")) == 1
    assert seen.headers["Sec-WebSocket-Key"] != "dGhlIHNhbXBsZSBub25jZQ=="
    assert seen.headers.get_all("Host") == [backend.url.removeprefix("ws://")]
    for name in ("Keep-Alive", "TE", "Proxy-Authorization", "Sec-WebSocket-Extensions"):
        assert name not in seen.headers
    assert seen.headers["X-Stays"] == "yes"


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "upgrade,X-Hop", "UPGRADE"])
async def test_headers_named_in_connection_are_not_forwarded(
    gateway: RunningGateway, backend: ScriptedBackend, connection: str
) -> None:
    text = request("X-Hop: 1", f"Connection: {connection}", leave_out="Connection")

    assert (await ask(gateway, text)).status == 101
    seen = (await backend.connection()).request

    assert seen is not None
    assert ("X-Hop" in seen.headers) == ("X-Hop" not in connection)


async def test_blocked_headers_do_not_reach_the_backend(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, server={"block-headers": ["X-Secret", "origin"]})

    seen = await backend_sees(gateway, backend, "x-secret: 1", "Origin: http://a", "X-Open: 1")

    assert "X-Secret" not in seen.headers
    assert "Origin" not in seen.headers
    assert seen.headers["X-Open"] == "1"


@pytest.mark.parametrize(
    ("trust", "sent", "wanted"),
    [
        (True, [], "127.0.0.1"),
        (True, ["X-Forwarded-For: 10.0.0.1"], "10.0.0.1, 127.0.0.1"),
        (
            True,
            ["X-Forwarded-For: 10.0.0.1, 10.0.0.2", "x-forwarded-for: 10.0.0.3"],
            "10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1",
        ),
        (False, [], "127.0.0.1"),
        (False, ["X-Forwarded-For: 10.0.0.1"], "127.0.0.1"),
    ],
)
async def test_address_of_the_client_is_forwarded(
    start_gateway: StartGateway,
    backend: ScriptedBackend,
    trust: bool,
    sent: list[str],
    wanted: str,
) -> None:
    gateway = await start_gateway(backend, server={"trust-received-xff": trust})

    seen = await backend_sees(gateway, backend, *sent)

    assert seen.headers.get_all("X-Forwarded-For") == [wanted]


async def test_client_cannot_send_failover_headers(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, server={"reconnect-header": "X-Again"})

    seen = await backend_sees(
        gateway, backend, "x-again: 1", "X-Wsgw-Session: mine", "X-Wsgw-Replayed: 9"
    )

    assert "X-Again" not in seen.headers
    assert "X-Wsgw-Replayed" not in seen.headers
    assert len(seen.headers.get_all("X-Wsgw-Session")) == 1
    assert seen.headers["X-Wsgw-Session"] != "mine"


async def test_session_ids_are_unique_and_hard_to_guess(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    ids = set()
    for _ in range(10):
        seen = await backend_sees(gateway, backend)
        ids.add(seen.headers["X-Wsgw-Session"])

    assert len(ids) == 10
    assert all(len(one) >= 22 for one in ids)  # at least 128 bits


@pytest.mark.parametrize(
    ("known", "offers", "chosen"),
    [
        (["b"], ["a", "b", "c"], "b"),
        (["c", "b"], ["b", "c"], "c"),
        (None, ["a", "b"], None),
        (["a"], [], None),
    ],
    ids=["second", "own order", "none known", "none offered"],
)
async def test_backend_chooses_the_subprotocol(
    start_gateway: StartGateway,
    start_backend: StartBackend,
    known: list[str] | None,
    offers: list[str],
    chosen: str | None,
) -> None:
    def choose(_connection: ServerConnection, offered: list[str]) -> str | None:
        assert offered == offers
        return next((name for name in known or () if name in offered), None)

    options: dict[str, Any] = {"select_subprotocol": choose} if known else {}
    backend = await start_backend(**options)
    gateway = await start_gateway(backend)

    async with connect(gateway.url, subprotocols=offers or None) as client:  # type: ignore[arg-type]  # plain strings do
        assert client.subprotocol == chosen
        assert client.response is not None
        assert ("Sec-WebSocket-Protocol" in client.response.headers) == (chosen is not None)


async def test_pass_headers_of_the_answer_reach_the_client_with_all_values(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    def add(_connection: ServerConnection, _request: Request, response: Response) -> None:
        response.headers["Set-Cookie"] = "a=1"
        response.headers["X-Other"] = "no"
        response.headers["Set-Cookie"] = "b=2"
        response.headers["X-Server-Id"] = "7"

    backend = await start_backend(process_response=add)
    gateway = await start_gateway(
        {"url": backend.url, "pass-headers": ["set-cookie", "X-Server-Id"]}
    )

    answer = await ask(gateway, request())

    assert answer.values("Set-Cookie") == ["a=1", "b=2"]
    assert answer.values("X-Server-Id") == ["7"]
    assert answer.names == {
        "upgrade",
        "connection",
        "sec-websocket-accept",
        "set-cookie",
        "x-server-id",
    }
    assert answer.values("Sec-WebSocket-Accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]


async def test_messages_sent_before_the_answer_reach_the_backend(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    early = bytes.fromhex("8185 37fa213d 7f9f4d5158")  # "Hello", the example of RFC 6455
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request().encode() + early)
        assert (await client.answer()).status == 101
        served = await backend.connection()
        assert await served.recv() == "Hello"


async def test_message_sent_by_the_backend_at_once_reaches_the_client(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await served.send("welcome")
        assert await client.recv() == "welcome"


async def test_redirect_to_a_login_keeps_the_cookies_of_pass_headers(
    start_backend: StartBackend, start_gateway: StartGateway
) -> None:
    fields = (("Location", "/login"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Own", "1"))
    backend = await start_backend(process_request=answering(302, *fields))
    entry = {"url": backend.url, "pass-headers": ["set-cookie", "connection"]}
    gateway = await start_gateway(entry)
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request())
        answer = await client.answer()
    assert answer.status == 302
    assert answer.values("Set-Cookie") == ["a=1", "b=2"]
    assert answer.values("Location") == ["/login"]
    assert "x-own" not in answer.names
    assert answer.values("Connection") == ["close"]


@pytest.mark.parametrize(
    "line", ["GET ws://gateway.example/a?b=c", "GET http://GATEWAY.example/a?b=c"]
)
async def test_pass_host_satisfies_a_backend_that_checks_the_origin(
    start_backend: StartBackend, start_gateway: StartGateway, line: str
) -> None:
    def same_origin(connection: ServerConnection, asked: Request) -> Response | None:
        if asked.headers["Origin"].partition("://")[2] != asked.headers["Host"]:
            return connection.respond(HTTPStatus.FORBIDDEN, "not from here")
        return None

    backend = await start_backend(process_request=same_origin)
    target = line.partition(" ")[2]
    for passes, status in ((False, 403), (True, 101)):
        entry = {"url": backend.url, "pass-host": passes}
        gateway = await start_gateway(entry)
        answer = await ask(gateway, request("Origin: http://gateway.example", target=target))
        assert answer.status == status
    seen = (await backend.connection()).request
    assert seen is not None
    assert seen.path == "/a?b=c"
