"""Hostile clients: each is answered or dropped, and leaves no resources behind."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .eventually import until
from .hostile_heads import HEADS
from .leak_check import no_leaks, reset, serve_a_good_client
from .raw_client import raw_client, raw_websocket, request
from .scripted_backend import ScriptedBackend

PIPELINED = request() + "GET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
async def gateway(start_gateway: StartGateway, backend: ScriptedBackend) -> RunningGateway:
    return await start_gateway(backend.eager)


@pytest.fixture(autouse=True)
def no_warning_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Checks that clients cannot fill the log with warnings."""
    yield
    told = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    texts = [one.getMessage() for one in told if one.name.partition(".")[0] != "websockets"]
    # That one comes once a minute, when a test ends the backend's connections.
    assert not [text for text in texts if ": a session moves on" not in text]


@pytest.mark.parametrize("name", HEADS)
async def test_bad_head_is_refused_and_pipelined_data_is_not_read(
    gateway: RunningGateway, backend: ScriptedBackend, name: str
) -> None:
    text, status = HEADS[name]
    async with no_leaks(gateway, backend):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(text + PIPELINED)
            answer = await client.answer()  # to the end of the connection
            assert answer.status == status
            options = "upgrade, close" if status == 426 else "close"
            assert answer.values("Connection") == [options]
            assert answer.values("Content-Length") == [str(len(answer.body))]
            assert answer.values("Server") == []
            assert len(answer.body) < 100
            assert answer.values("Allow") == (["GET"] if status == 405 else [])
            spoken = (["websocket"], ["13"]) if status == 426 else ([], [])
            assert (answer.values("Upgrade"), answer.values("Sec-WebSocket-Version")) == spoken
        assert backend.accepted == 1  # the good client
        assert gateway.count("handshakes_refused") == 1


def decline(connection: ServerConnection, asked: Request) -> Response | None:
    """Decline the clients of one path."""
    if asked.path == "/declined":
        return connection.respond(HTTPStatus.FORBIDDEN, "no\n")
    return None


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request(target="/declined"), 403),
        (request("Origin: https://elsewhere.example"), 403),
        (request(*(f"X-{number}: a" for number in range(200))), 431),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_data_pipelined_after_a_refused_upgrade_is_never_read(
    start_gateway: StartGateway,
    start_backend: StartBackend,
    asked: str,
    status: int,
    *,
    at_once: bool,
) -> None:
    """Reading it has crashed proxies (CVE-2026-130647) and allows request smuggling."""
    backend = await start_backend(process_request=decline)
    gateway = await start_gateway(
        backend.eager,
        server={"frontend": {"address": "127.0.0.1:0", "allowed-origins": ["https://a.example"]}},
    )
    async with no_leaks(gateway, backend):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(asked + (PIPELINED if at_once else ""))
            answering = asyncio.create_task(client.answer())
            while not at_once and not answering.done():
                client.write(PIPELINED)
                await asyncio.sleep(0.01)
            answer = await answering
            assert answer.status == status
            assert answer.values("Connection") == ["close"]
            assert b"HTTP/" not in answer.body
        assert backend.accepted == 1  # the good client
        assert gateway.count("handshakes_refused") == 1


async def test_extension_names_of_javascript_properties_are_ignored(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with no_leaks(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write(request("Sec-WebSocket-Extensions: constructor, __proto__; hasOwnProperty"))
        answer = await client.answer()
        assert answer.status == 101
        assert answer.values("Sec-WebSocket-Extensions") == []
        await backend.connection()


async def test_header_count_limit_is_configurable(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend.eager, limits={"max-header-count": 20})
    async with no_leaks(gateway, backend):
        for more, status in ((15, 101), (16, 431)):
            async with raw_client(gateway.host, gateway.port) as client:
                client.write(request(*("a: b" for _ in range(more))))
                assert (await client.answer()).status == status
        await backend.connection()
        assert gateway.count("headers_too_many") == 1


async def test_head_that_arrives_too_slowly_is_answered_408(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend.eager, limits={"handshake-timeout": "200ms"})
    async with no_leaks(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write("GET / HTTP/1.1\r\nX-A: ")
        answering = asyncio.create_task(client.answer())
        while not answering.done():
            client.write("a")
            await asyncio.sleep(0.01)
        answer = await answering
        assert answer.status == 408
        assert answer.values("Connection") == ["close"]
        assert gateway.count("handshakes_too_slow") == 1


async def test_client_that_keeps_sending_after_a_refusal_is_dropped(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with no_leaks(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not client.writer.transport.is_closing():
            client.write("x" * 10_000)
            await asyncio.sleep(0.01)


async def test_client_that_never_reads_its_refusal_is_dropped(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    loop = asyncio.get_running_loop()
    async with no_leaks(gateway, backend):
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


async def test_client_that_half_closes_is_dropped(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with no_leaks(gateway, backend):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write("GET / HTTP/1.1\r\nHost: ")
            client.writer.write_eof()
            assert await client.reader.read() == b""
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request())
            client.writer.write_eof()
            await client.reader.read()


async def test_large_early_data_stays_unread_until_the_answer(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    dialled, go_on = asyncio.Event(), asyncio.Event()

    async def hesitate(_connection: ServerConnection, asked: Request) -> Response | None:
        if asked.path == "/slow":
            dialled.set()
            await go_on.wait()
        return None

    backend = await start_backend(process_request=hesitate)
    gateway = await start_gateway(backend.eager)
    async with no_leaks(gateway, backend), raw_client(gateway.host, gateway.port) as client:
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
async def test_reset_during_the_head_or_after_a_refusal_leaves_nothing(
    gateway: RunningGateway, backend: ScriptedBackend, sent: str
) -> None:
    async with no_leaks(gateway, backend):
        for pause in (0.0, 0.01):
            async with raw_client(gateway.host, gateway.port) as client:
                client.write(sent)
                await asyncio.sleep(pause)
                reset(client.writer)


@pytest.mark.parametrize("early", [b"", FRAME, b"x" * 200_000])
async def test_reset_during_the_dial_leaves_nothing(
    start_gateway: StartGateway, start_backend: StartBackend, early: bytes
) -> None:
    dialled: asyncio.Queue[None] = asyncio.Queue()

    async def hesitate(connection: ServerConnection, asked: Request) -> Response | None:
        if asked.path == "/slow":
            dialled.put_nowait(None)
            await asyncio.wait([asyncio.create_task(connection.wait_closed())], timeout=0.2)
        return None

    backend = await start_backend(process_request=hesitate)
    gateway = await start_gateway(backend.eager)
    async with no_leaks(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.write(request(target="/slow").encode() + early)
        await dialled.get()
        reset(client.writer)


@pytest.mark.parametrize("sent", [b"", FRAME[:3], FRAME, FRAME + b"x"])
async def test_reset_of_an_open_websocket_leaves_nothing(
    gateway: RunningGateway, backend: ScriptedBackend, sent: bytes
) -> None:
    async with no_leaks(gateway, backend):
        for pause in (0.0, 0.01):
            async with raw_websocket(gateway.url) as client:
                served = await backend.connection()
                client.client.write(sent)
                await asyncio.sleep(pause)
                reset(client.client.writer)
                await served.wait_closed()


async def test_reset_during_the_closing_handshake_leaves_nothing(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with no_leaks(gateway, backend):
        for pause in (0.0, 0.01):
            async with raw_websocket(gateway.url) as client:
                served = await backend.connection()
                client.protocol.send_close(1000)
                client.flush()
                await asyncio.sleep(pause)
                reset(client.client.writer)
                await served.wait_closed()
            async with raw_websocket(gateway.url) as client:
                served = await backend.connection()
                closing = asyncio.create_task(served.close(1000))
                await asyncio.sleep(pause)
                reset(client.client.writer)
                await closing


async def test_reset_during_a_failover_leaves_nothing(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    looked_for = 0

    def busy(connection: ServerConnection, asked: Request) -> Response | None:
        nonlocal looked_for
        if "X-Balancer-Reconnect" not in asked.headers:
            return None
        looked_for += 1
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")

    backend = await start_backend(process_request=busy)
    gateway = await start_gateway(backend.eager)
    async with no_leaks(gateway, backend), raw_websocket(gateway.url) as client:
        (await backend.connection()).transport.abort()
        await until(lambda: looked_for, "another backend is looked for")
        assert len(gateway.gateway.sessions) == 1
        reset(client.client.writer)


async def test_reset_while_the_gateway_writes_leaves_nothing(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with no_leaks(gateway, backend), raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
        flooding = asyncio.create_task(flood(served))
        await until(lambda: served.transport.get_write_buffer_size() > 0, "nobody reads")
        reset(client.client.writer)
        await flooding


async def test_client_that_reads_nothing_does_not_affect_others(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with no_leaks(gateway, backend), raw_client(gateway.host, gateway.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
        client.write(request())
        served = await backend.connection()
        flooding = asyncio.create_task(flood(served))
        await until(lambda: served.transport.get_write_buffer_size() > 0, "nobody reads")
        await serve_a_good_client(gateway, backend)
        reset(client.writer)
        await flooding


async def flood(served: ServerConnection) -> None:
    """Send until the connection ends."""
    try:
        while True:
            await served.send(b"x" * 100_000)
    except Exception:  # noqa: BLE001, S110 - whatever ends it
        pass
