"""Both examples relay, with clients and backends that fail."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType

import pytest
import trustme
from aiohttp import ClientSession, web
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

FOLDER = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def echo(connection: ServerConnection) -> None:
    assert connection.request is not None
    async for message in connection:
        await connection.send(f"{connection.request.path} {message!s}")


def port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


@pytest.fixture
async def backend() -> AsyncIterator[Server]:
    async with serve(echo, "127.0.0.1", 0) as server:
        yield server


@pytest.fixture
async def later() -> AsyncIterator[AsyncExitStack]:
    """Keeps further servers until the gateway has stopped, which delivers what is left."""
    async with AsyncExitStack() as servers:
        yield servers


@pytest.fixture
async def site(backend: Server, later: AsyncExitStack) -> AsyncIterator[str]:  # noqa: ARG001 - to stop before
    """Runs the application, and yields its address."""
    app = load("in_an_application").make_application(f"ws://127.0.0.1:{port_of(backend)}")
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    async with asyncio.timeout(30):
        await runner.cleanup()


async def test_application_hands_over_path_and_serves_others(site: str) -> None:
    async with connect(f"ws://{site}/ocpp/CP1?x=1") as client, ClientSession() as http:
        await client.send("hello")
        assert await client.recv() == "/ocpp/CP1?x=1 hello"
        async with http.get(f"http://{site}/") as answer:
            assert await answer.text() == "charge points connect to /ocpp/ID\n"
        async with http.get(f"http://{site}/ocpp/CP1") as answer:
            assert answer.status == 426
            assert (answer.headers["Upgrade"], answer.headers["Connection"]) == (
                "websocket",
                "upgrade",
            )
        async with http.get(f"http://{site}/metrics") as answer:
            text = await answer.text()
    assert "wsgw_sessions_total 1.0" in text
    assert 'wsgw_open_sessions{state="relaying"} 1.0' in text


async def test_client_handed_over_survives_backend_replacement(
    site: str, backend: Server, later: AsyncExitStack
) -> None:
    async with connect(f"ws://{site}/ocpp/CP1") as client:
        await client.send("1")
        assert await client.recv() == "/ocpp/CP1 1"
        port = port_of(backend)
        backend.close(code=1012)
        await backend.wait_closed()
        _ = await later.enter_async_context(serve(echo, "127.0.0.1", port, reuse_port=True))
        await client.send("2")
        while (answer := await client.recv()) != "/ocpp/CP1 2":
            assert answer == "/ocpp/CP1 1"  # sent again


async def test_data_sent_with_the_head_is_relayed(site: str) -> None:
    host, _, port = site.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        + bytes.fromhex("8181 00000000")
        + b"A"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert head.count(b"HTTP/1.1") == 1
    assert await reader.readexactly(2 + len("/ocpp/CP1 A")) == b"\x81\x0b/ocpp/CP1 A"
    writer.close()


async def test_gateway_answers_refused_handshake(site: str) -> None:
    headers = {"Sec-WebSocket-Version": "12"}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{site}/ocpp/CP1", additional_headers=headers):
            pass
    assert refused.value.response.status_code == 426


async def test_stopping_application_closes_clients_with_1012(backend: Server) -> None:
    module = load("in_an_application")
    app = module.make_application(f"ws://127.0.0.1:{port_of(backend)}")
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    async with connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/ocpp/CP1") as client:
        async with asyncio.timeout(30):
            await asyncio.gather(runner.cleanup(), client.wait_closed())
        assert client.close_code == 1012
    assert not app[module.GATEWAY].ready


async def test_program_relays_through_its_own_valve(backend: Server) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, FOLDER / "in_a_program.py", f"ws://127.0.0.1:{port_of(backend)}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    address = line.rpartition(" ")[2].strip()
    async with connect(f"ws://{address}/x") as client:
        await client.send("hello")
        assert await client.recv() == "/x HELLO"
        process.stdin.close()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1012
    assert await process.wait() == 0


def test_program_prints_configuration_errors() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "in_a_program.py", "wss//nowhere"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("upstream.backends[0]")
    assert "Traceback" not in done.stderr


@pytest.fixture
async def tls_site(backend: Server) -> AsyncIterator[tuple[str, web.AppRunner, ssl.SSLContext]]:
    """Runs the application over TLS; yields its URL, its runner, and a context for clients."""
    authority = trustme.CA()
    server, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client_side)
    app = load("in_an_application").make_application(f"ws://127.0.0.1:{port_of(backend)}")
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening, ssl_context=server).start()
    yield f"wss://127.0.0.1:{listening.getsockname()[1]}/ocpp/CP1", runner, client_side
    async with asyncio.timeout(30):
        await runner.cleanup()


async def test_tls_clients_are_handed_over_and_aiohttp_keeps_nothing(
    tls_site: tuple[str, web.AppRunner, ssl.SSLContext],
) -> None:
    url, runner, client_side = tls_site
    large = "x" * 900_000
    async with connect(url, ssl=client_side) as client:
        await client.send(large)
        assert await client.recv() == f"/ocpp/CP1 {large}"
        assert runner.server is not None
        assert runner.server.connections == []
        async with asyncio.timeout(30):
            await runner.cleanup()


async def test_refused_tls_client_gets_answer_and_end(
    tls_site: tuple[str, web.AppRunner, ssl.SSLContext],
) -> None:
    url, _, client_side = tls_site
    host, port = url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=client_side)
    writer.write(
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n\r\n"
    )
    async with asyncio.timeout(30):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert answer.endswith(b"version 13 is supported\n")
    writer.close()


async def test_client_that_leaves_before_handover_is_no_error(
    backend: Server, caplog: pytest.LogCaptureFixture
) -> None:
    module = load("in_an_application")
    app = module.make_application(f"ws://127.0.0.1:{port_of(backend)}")
    asked = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.abort()  # like a client that leaves
        asked.set()
        await asyncio.sleep(0)
        return await app[module.GATEWAY].handler(request)  # type: ignore[no-any-return]  # module

    app.router.add_get("/late", late)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    _, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(
        b"GET /late HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with asyncio.timeout(30):
        await asked.wait()
        await runner.cleanup()
    writer.close()
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []
