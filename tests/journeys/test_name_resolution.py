"""A backend whose name lookup hangs does not affect other backends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .conftest import StartGateway
from .server_process import ServerProcess

HANGING_NAMES = """
import socket, time
real = socket.getaddrinfo

def getaddrinfo(host, *arguments, **options):
    if host and host.startswith("hanging"):
        time.sleep(600)
    return real(host, *arguments, **options)

socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def answer(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(message)

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Have names that begin with `hanging` hang in the resolver until the event is set."""
    go_on = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host).startswith("hanging"):
            assert go_on.wait(100)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield go_on
        go_on.set()


async def echoes(url: str) -> bool:
    async with connect(url, compression=None, open_timeout=60) as client:
        await client.send("hello")
        return await client.recv() == "hello"


async def test_hanging_name_lookups_do_not_affect_other_backends(
    port: int, start_gateway: StartGateway, hanging: threading.Event
) -> None:
    names = [f"ws://hanging-{number}.example:{port}" for number in range(8)]
    backends = [{"url": each} for each in [*names, f"ws://localhost:{port}"]]
    # On a busy machine all these clients need some time to say what they want.
    gateway = await start_gateway(
        upstream={"backends": backends}, limits={"handshake-timeout": "60s"}
    )
    assert not hanging.is_set()

    served = await asyncio.gather(*(echoes(gateway.url) for _ in range(160)))

    assert all(served)
    assert len(served) == 160
    assert not any(backend.breaker.tripped for backend in gateway.gateway.pool.backends)
    assert not any(backend.failures for backend in gateway.gateway.pool.backends)
    assert gateway.count("local_dial_errors") > 0
    assert gateway.count("name_lookups_late") > 0


async def test_hanging_name_lookup_gives_503_and_does_not_trip_the_backend(
    port: int, start_gateway: StartGateway, hanging: threading.Event
) -> None:
    gateway = await start_gateway(
        upstream={"backends": [{"url": f"ws://hanging.example:{port}"}], "resolve-timeout": "50ms"}
    )
    for _ in range(20):
        with pytest.raises(InvalidStatus) as caught:
            await connect(gateway.url)
        assert caught.value.response.status_code == 503
    assert not hanging.is_set()
    [backend] = gateway.gateway.pool.backends
    assert not backend.breaker.tripped


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
@pytest.mark.asyncio(loop_factories=["asyncio"])  # the process has its own event loop
async def test_gateway_stops_while_name_lookups_hang(tmp_path: Path, port: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING_NAMES)
    file = tmp_path / "wsgw.yaml"
    upstream = {
        "backends": [{"url": f"ws://hanging.example:{port}"}, {"url": f"ws://localhost:{port}"}],
        "health": {"interval": "50ms"},
    }
    frontend = {"address": "127.0.0.1:0"}
    server = {"frontend": frontend, "drain-time": 0}
    file.write_text(json.dumps({"server": server, "upstream": upstream}))
    process = ServerProcess("wsgw_core.cli.main", "run", "-c", str(file), path=tmp_path)
    with process:
        await process.start()
        assert await echoes(f"ws://127.0.0.1:{process.port}")
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
