"""Clients that mean harm: each is answered or dropped, and nothing of it stays."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from wsgw_core.testing.descriptors import open_descriptors

from .conftest import StartBackend, StartGateway
from .eventually import until
from .raw_client import RawClient, raw_client, raw_websocket, request
from .running_gateway import RunningGateway
from .scripted_backend import ScriptedBackend

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
PIPELINED = request() + "GET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True)
def nothing_is_worth_a_warning(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Who can cause warnings at will can fill a disk."""
    yield
    told = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    assert not [one.getMessage() for one in told if one.name.partition(".")[0] != "websockets"]


async def serve_a_good_client(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async with connect(f"{gateway.url}/good") as client:
        served = await backend.connection()
        while served.request is None or served.request.path != "/good":
            served = await backend.connection()  # that one was a hostile client's
        await client.send("good")
        assert await served.recv() == "good"
        await served.send("too")
        assert await client.recv() == "too"


@asynccontextmanager
async def leaving_nothing(gateway: RunningGateway, backend: ScriptedBackend) -> AsyncIterator[None]:
    """Have tasks, descriptors and sessions be the same again after the block, and one served."""
    await serve_a_good_client(gateway, backend)  # so that what is made once has been made
    before = await settled()
    yield
    await until(
        lambda: not len(gateway.gateway.sessions) and in_use() == before,
        "sockets, tasks and sessions are as before",
    )
    await serve_a_good_client(gateway, backend)


def in_use() -> tuple[set[asyncio.Task[object]], frozenset[str] | None]:
    """Return the tasks and the descriptors that there are."""
    return asyncio.all_tasks(), open_descriptors()


async def settled() -> tuple[set[asyncio.Task[object]], frozenset[str] | None]:
    """Return what is in use once nothing goes on."""
    before, now = None, in_use()
    while before != now:
        await asyncio.sleep(0.02)
        before, now = now, in_use()
    return now


def reset(client: RawClient) -> None:
    """Break the connection off with a RST."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.vanish()


HEADS = {
    "no http": ("EHLO mail.example\r\n\r\n", 400),
    "tls": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "http/0.9": ("GET /\r\n\r\n", 400),
    "http/1.0": (request().replace("HTTP/1.1", "HTTP/1.0"), 505),
    "http/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "two empty lines first": ("\r\n\r\n" + request(), 400),
    "bare lf": (request().replace("\r\n", "\n"), 400),
    "bare cr": (request("X-A: a\rX-B: b"), 400),
    "one bare lf": (request("X-A: a\nX-B: b"), 400),
    "nul": (request("X-A: a\0"), 400),
    "obs-fold": (request("X-A: a", " folded"), 400),
    "space before the colon": (request("X-A : a"), 400),
    "no header name": (request(": a"), 400),
    "no colon": (request("X-A"), 400),
    "two spaces": (request().replace("GET /", "GET  /"), 400),
    "no host": (request(leave_out="Host"), 400),
    "two hosts": (request("Host: other.example"), 400),
    "no valid host": (request("Host: a/b", leave_out="Host"), 400),
    "conflicting lengths": (request("Content-Length: 0", "Content-Length: 5"), 400),
    "duplicate lengths": (request("Content-Length: 0", "Content-Length: 0"), 400),
    "bad length": (request("Content-Length: 0x0"), 400),
    "transfer coding": (request("Transfer-Encoding: chunked") + "0\r\n\r\n" + request(), 400),
    "both": (request("Content-Length: 3", "Transfer-Encoding: chunked") + "abc", 400),
    "body": (request("Content-Length: 5") + "abcde", 413),
    "absolute uri": (request(target="http://gateway.example/"), 400),
    "fragment": (request(target="/a#b"), 400),
    "dot segments": (request(target="/a/../../b"), 400),
    "encoded dots": (request(target="/a/%2e%2E/b"), 400),
    "dots with parameters": (request(target="/a/..;x/b"), 400),
    "backslash": (request(target="/a\\..\\b"), 400),
    "space in the target": (request(target="/a b"), 400),
    "not ascii": (request(target="/\xfc"), 400),
    "post": (request().replace("GET", "POST"), 405),
    "connect": (request(target="elsewhere.example:443").replace("GET", "CONNECT"), 405),
    "plain": ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426),
    "h2c": (
        request(
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            leave_out="Upgrade",
        ),
        426,
    ),
    "tls upgrade": (request("Upgrade: TLS/1.0", leave_out="Upgrade"), 426),
    "two upgrades": (request("Upgrade: h2c"), 426),
    "version 8": (request("Sec-WebSocket-Version: 8", leave_out="Sec-WebSocket-Version"), 426),
    "no version": (request(leave_out="Sec-WebSocket-Version"), 426),
    "no key": (request(leave_out="Sec-WebSocket-Key"), 400),
    "short key": (request("Sec-WebSocket-Key: c2hvcnQ=", leave_out="Sec-WebSocket-Key"), 400),
    "two keys": (request(KEY), 400),
    "subprotocol twice": (request("Sec-WebSocket-Protocol: a, a"), 400),
    "commas": (request("Sec-WebSocket-Protocol: a" + "," * 30_000), 400),
    "many extensions": (request("Sec-WebSocket-Extensions: a" + ", a" * 15_000), 400),
    "broken extension": (request('Sec-WebSocket-Extensions: a; b="' + "\\" * 30_000), 400),
    "two origins": (request("Origin: https://a.example", "Origin: https://b.example"), 400),
    "large": (request("X-A: " + "a" * 70_000), 431),
    "endless": ("GET /" + "a" * 1_000_000, 431),
    "many headers": (request(*("a: b" for _ in range(1000))), 431),
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_bad_head_is_refused_and_what_follows_it_is_not_read(
    gateway: RunningGateway, backend: ScriptedBackend, name: str
) -> None:
    text, status = HEADS[name]
    async with leaving_nothing(gateway, backend):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(text + PIPELINED)
            answer = await client.answer()  # to the end of the connection
            assert answer.status == status
            assert answer.values("Connection") == ["close"]
            assert answer.values("Content-Length") == [str(len(answer.body))]
            assert answer.values("Server") == []
            assert len(answer.body) < 100
            assert answer.values("Allow") == (["GET"] if status == 405 else [])
            spoken = (["websocket"], ["13"]) if status == 426 else ([], [])
            assert (answer.values("Upgrade"), answer.values("Sec-WebSocket-Version")) == spoken
        assert backend.accepted == 1  # the good client
        assert gateway.count("handshakes_refused") == 1


async def test_constructor_is_an_extension_like_any_other(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with leaving_nothing(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write(request("Sec-WebSocket-Extensions: constructor, __proto__; hasOwnProperty"))
        answer = await client.answer()
        assert answer.status == 101
        assert answer.values("Sec-WebSocket-Extensions") == []
        await backend.connection()


async def test_the_bound_of_headers_can_be_set(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, limits={"max-header-count": 20})
    async with leaving_nothing(gateway, backend):
        for more, status in ((15, 101), (16, 431)):
            async with raw_client(gateway.host, gateway.port) as client:
                client.write(request(*("a: b" for _ in range(more))))
                assert (await client.answer()).status == status
        await backend.connection()
        assert gateway.count("headers_too_many") == 1


async def test_a_head_that_dribbles_in_is_answered_408(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, limits={"handshake-timeout": "200ms"})
    async with leaving_nothing(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write("GET / HTTP/1.1\r\nX-A: ")
        answering = asyncio.create_task(client.answer())
        while not answering.done():
            client.write("a")
            await asyncio.sleep(0.01)
        answer = await answering
        assert answer.status == 408
        assert answer.values("Connection") == ["close"]
        assert gateway.count("handshakes_too_slow") == 1


async def test_who_goes_on_sending_is_not_listened_to_for_ever(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with leaving_nothing(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not client.writer.transport.is_closing():
            client.write("x" * 10_000)
            await asyncio.sleep(0.01)


async def test_who_never_reads_its_refusal_is_dropped(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    loop = asyncio.get_running_loop()
    async with leaving_nothing(gateway, backend):
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (gateway.host, gateway.port))
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            while True:
                try:
                    await loop.sock_sendall(sock, b"x")
                except OSError:
                    break
                await asyncio.sleep(0.01)


async def test_who_says_no_more_is_not_waited_for(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with leaving_nothing(gateway, backend):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write("GET / HTTP/1.1\r\nHost: ")
            client.writer.write_eof()
            assert await client.reader.read() == b""
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request())
            client.writer.write_eof()
            await client.reader.read()


async def test_much_ahead_of_the_answer_is_left_with_its_sender(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled, go_on = asyncio.Event(), asyncio.Event()

    async def hesitate(_connection: ServerConnection, asked: Request) -> Response | None:
        if asked.path == "/slow":
            dialled.set()
            await go_on.wait()
        return None

    backend = await start_backend(process_request=hesitate)
    gateway = await start_gateway(backend)
    async with leaving_nothing(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write(request(target="/slow"))
        await dialled.wait()
        client.write(b"x" * 50_000_000)
        await until(lambda: client.writer.transport.get_write_buffer_size() < 50_000_000)
        await asyncio.sleep(0.1)
        assert client.writer.transport.get_write_buffer_size() > 30_000_000
        go_on.set()
        assert (await client.answer()).status == 101
        await backend.connection()
        await until(lambda: gateway.count("client_violations") == 1)


FRAME = bytes.fromhex("82fe 1000 00000000")  # the head of a frame with 4096 bytes


@pytest.mark.parametrize("sent", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\0"])
async def test_a_reset_before_the_head_is_complete_and_after_it_was_refused(
    gateway: RunningGateway, backend: ScriptedBackend, sent: str
) -> None:
    async with leaving_nothing(gateway, backend):
        for pause in (0.0, 0.01):
            async with raw_client(gateway.host, gateway.port) as client:
                client.write(sent)
                await asyncio.sleep(pause)
                reset(client)


@pytest.mark.parametrize("early", [b"", FRAME, b"x" * 200_000])
async def test_a_reset_while_the_backend_is_dialled(
    start_gateway: StartGateway, start_backend: StartBackend, early: bytes
) -> None:
    dialled: asyncio.Queue[None] = asyncio.Queue()

    async def hesitate(connection: ServerConnection, asked: Request) -> Response | None:
        if asked.path == "/slow":
            dialled.put_nowait(None)
            await asyncio.wait([asyncio.create_task(connection.wait_closed())], timeout=0.2)
        return None

    backend = await start_backend(process_request=hesitate)
    gateway = await start_gateway(backend)
    async with leaving_nothing(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write(request(target="/slow").encode() + early)
        await dialled.get()
        reset(client)


@pytest.mark.parametrize("sent", [b"", FRAME[:3], FRAME, FRAME + b"x"])
async def test_a_reset_of_an_open_websocket(
    gateway: RunningGateway, backend: ScriptedBackend, sent: bytes
) -> None:
    async with leaving_nothing(gateway, backend):
        for pause in (0.0, 0.01):
            async with raw_websocket(gateway.url) as client:
                served = await backend.connection()
                client.client.write(sent)
                await asyncio.sleep(pause)
                reset(client.client)
                await served.wait_closed()


async def test_a_reset_while_the_gateway_writes(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with leaving_nothing(gateway, backend), raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
        flooding = asyncio.create_task(flood(served))
        await until(lambda: served.transport.get_write_buffer_size() > 0, "nobody reads")
        reset(client.client)
        await flooding


async def test_who_reads_nothing_hinders_nobody(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with leaving_nothing(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
        client.write(request())
        served = await backend.connection()
        flooding = asyncio.create_task(flood(served))
        await until(lambda: served.transport.get_write_buffer_size() > 0, "nobody reads")
        await serve_a_good_client(gateway, backend)
        reset(client)
        await flooding


async def flood(served: ServerConnection) -> None:
    """Send until the connection ends."""
    try:
        while True:
            await served.send(b"x" * 100_000)
    except Exception:  # noqa: BLE001, S110 - whatever ends it
        pass
