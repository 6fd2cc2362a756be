"""A gateway's memory stays within its bounds when either side does not read."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve

from ..journeys.eventually import until
from ..journeys.server_process import ServerProcess

SESSIONS = 1000
LEDGER, WRITE, MESSAGE = 128 * 1024, 64 * 1024, 16 * 1024
ONE_READ = 256 * 1024  # what the event loop reads in one call
PER_SESSION = LEDGER + 2 * (WRITE + ONE_READ + MESSAGE)
FILLER = b"x" * (MESSAGE - 1)
OPTIONS: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 1}
# The system's buffers grow to megabytes, which are not the gateway's, and would have to be filled.
KERNEL = 64 * 1024


def small(sock: socket.socket) -> socket.socket:
    """Returns the socket, with small buffers in the system."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL)
    return sock


async def write_until_stuck(connection: Connection) -> None:
    """Sends until the peer, which does not read, takes no more."""
    while True:
        try:
            await asyncio.wait_for(connection.send(FILLER), 2)
        except TimeoutError:
            return


async def serve_one(connection: ServerConnection) -> None:
    """Reads nothing, writes for ever, or answers, as the path says."""
    assert connection.request is not None
    if connection.request.path == "/deaf":
        connection.transport.pause_reading()
        await connection.wait_closed()
    elif connection.request.path == "/flood":
        await write_until_stuck(connection)
        await connection.wait_closed()
    else:
        async for message in connection:
            await connection.send(message)


def resident(pid: int) -> int:
    """Returns a process's resident memory in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [each for each in lines if each.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.fixture
async def gateway() -> AsyncIterator[ServerProcess]:
    listening = small(socket.create_server(("127.0.0.1", 0)))
    async with serve(serve_one, sock=listening, **OPTIONS):
        port = listening.getsockname()[1]
        variables = {
            "BE_URLS": f"ws://127.0.0.1:{port}",
            "FE_ADDR": "127.0.0.1:0",
            "WSGW_LIMITS__LEDGER_BYTES": str(LEDGER),
            "WSGW_LIMITS__MAX_MESSAGE_SIZE": str(MESSAGE),
            "WSGW_FAILOVER__PING_TIMEOUT": "120s",
            "WSGW_SERVER__DRAIN_TIME": "0s",
        }
        with ServerProcess("wsgw_core.cli.main", "run", variables=variables) as process:
            yield await process.start()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
async def test_memory_stays_bounded_when_half_of_1000_sessions_never_read(
    gateway: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ("127.0.0.1", gateway.port)

    async def open_one(path: str) -> ClientConnection:
        sock = small(socket.create_connection(address))
        return await connect(f"ws://{address[0]}:{address[1]}{path}", sock=sock, **OPTIONS)

    async def open_some(count: int, path: str) -> list[ClientConnection]:
        return [await open_one(path) for _ in range(count)]

    talking = await open_some(SESSIONS // 2, "/echo")
    to_the_deaf = await open_some(SESSIONS // 4, "/deaf")
    deaf = await open_some(SESSIONS // 4, "/flood")
    for client in deaf:
        client.transport.pause_reading()
    before = resident(gateway.pid)

    await asyncio.gather(*map(write_until_stuck, to_the_deaf))
    most = resident(gateway.pid)
    for number in range(3):
        for client in talking:
            await client.send(str(number))
        for client in talking:
            assert await asyncio.wait_for(client.recv(), 30) == str(number)
        most = max(most, resident(gateway.pid))
    grown = most - before
    with capsys.disabled():
        sys.stdout.write(
            f" {SESSIONS} sessions: {before >> 20} MiB, {grown >> 20} MiB more with half stuck "
        )
    assert grown < SESSIONS // 2 * PER_SESSION

    for client in (*talking, *to_the_deaf, *deaf):
        client.transport.abort()
    await until(lambda: resident(gateway.pid) < most + 16 * 1024 * 1024)
