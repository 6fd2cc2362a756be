"""Closed or full stdin, stdout and stderr neither stop a gateway nor prevent its start."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest
from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from .conftest import StartBackend
from .free_ports import free_ports
from .scripted_backend import ScriptedBackend

pytestmark = [
    pytest.mark.asyncio(loop_factories=["asyncio"]),
    pytest.mark.skipif(sys.platform != "linux", reason="relies on its devices"),
]
TIMEOUT = 60.0
STATUS_2 = (("check", 2), ("run", 2), ("reload 1", 2))
COMMAND = shlex.join([sys.executable, "-m", "wsgw_core.cli.main"])


@contextmanager
def started(
    arguments: str, redirections: str, stderr: int | None = None, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WSGW_")}
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {COMMAND} {arguments} {redirections}"],
        env={**kept, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if stderr is None else stderr,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(TIMEOUT)


async def ended(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, TIMEOUT)


@asynccontextmanager
async def serving(
    url: str, redirections: str = "", stderr: int | None = None, **variables: str
) -> AsyncIterator[tuple[str, str, subprocess.Popen[bytes]]]:
    """Start a gateway that may be unable to report its addresses; yields them."""
    port, admin_port = free_ports(2)
    addresses = {"FE_ADDR": f"127.0.0.1:{port}", "ADM_ADDR": f"127.0.0.1:{admin_port}"}
    variables = {"BE_URLS": url, **addresses, **variables}
    with started("run", redirections, stderr, **variables) as process:
        admin = f"http://127.0.0.1:{admin_port}"
        async with ClientSession() as session, asyncio.timeout(TIMEOUT):
            while True:
                assert process.poll() is None
                try:
                    async with session.get(f"{admin}/healthz") as answer:
                        assert answer.status == 200
                        break
                except OSError:
                    await asyncio.sleep(0.05)
        yield f"ws://127.0.0.1:{port}", admin, process


async def echoes(url: str, backend: ScriptedBackend) -> None:
    async with asyncio.timeout(TIMEOUT), connect(url) as client:
        served = await backend.connection()
        await client.send("one")
        assert await served.recv() == "one"


@pytest.mark.parametrize(
    "redirections",
    [
        "0<&-",
        "1>&-",
        "2>&-",
        "0<&- 1>&- 2>&-",
        "1>/dev/full 2>/dev/full",
    ],
)
async def test_gateway_serves_and_stops_with_closed_or_full_streams(
    backend: ScriptedBackend, redirections: str
) -> None:
    async with serving(backend.url, redirections, LOG_LEVEL="DEBUG") as (url, _, process):
        await echoes(url, backend)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_gateway_serves_when_the_reader_of_stderr_is_gone(
    backend: ScriptedBackend,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        async with serving(backend.url, stderr=writer, LOG_LEVEL="DEBUG") as (url, _, process):
            await echoes(url, backend)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
    finally:
        os.close(writer)


async def test_unread_log_blocks_neither_sessions_nor_health_nor_stop(
    start_backend: StartBackend,
) -> None:
    backend = await start_backend()
    with ExitStack() as descriptors:
        reader, writer = os.pipe()
        for descriptor in (reader, writer):
            descriptors.callback(os.close, descriptor)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        variables = {"LOG_LEVEL": "DEBUG", "WSGW_SERVER__LOGGING_FORMAT": "json"}
        async with serving(backend.url, stderr=writer, **variables) as (url, admin, process):
            for _ in range(100):
                await echoes(url, backend)
            async with ClientSession() as session, asyncio.timeout(TIMEOUT):
                async with session.get(f"{admin}/healthz") as answer:
                    assert answer.status == 200
                async with session.get(f"{admin}/metrics") as answer:
                    assert "wsgw_log_lines_dropped_total" in await answer.text()
                os.set_blocking(reader, False)
                read = b""
                while read.count(b"opened at backend") < 100:  # waiting lines are written later
                    try:
                        read += os.read(reader, 4096)
                    except BlockingIOError:
                        await asyncio.sleep(0.01)
            for _ in range(100):
                await echoes(url, backend)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0


async def test_signal_stops_a_gateway_whose_stderr_is_full(
    backend: ScriptedBackend,
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    try:
        async with serving(backend.url, stderr=writer) as (url, _, process):
            await echoes(url, backend)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("arguments", "status", "redirections"),
    [
        *(
            (*each, "0<&- 1>&- 2>&-")
            for each in (("version", 0), ("plugins", 0), ("schema", 0), *STATUS_2)
        ),
        *(
            (*each, "2>/dev/full") for each in STATUS_2
        ),  # the other commands write nothing to stderr
    ],
)
async def test_commands_keep_their_exit_status_when_stderr_is_closed_or_full(
    arguments: str, status: int, redirections: str
) -> None:
    with started(arguments, redirections) as process:
        assert await ended(process) == status


@pytest.mark.parametrize("arguments", ["version", "plugins", "schema"])
async def test_command_fails_when_its_output_is_lost(arguments: str) -> None:
    with started(arguments, "1>/dev/full") as process:
        assert await ended(process) == 1


async def test_no_client_is_accepted_when_the_admin_address_is_taken(
    start_backend: StartBackend,
) -> None:
    backend = await start_backend()
    port, admin_port = free_ports(2)
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", admin_port)
    reader, writer = os.pipe()
    accepted = 0
    addresses = {"FE_ADDR": f"127.0.0.1:{port}", "ADM_ADDR": f"127.0.0.1:{admin_port}"}
    try:
        with started("run", "", writer, BE_URLS=backend.url, **addresses) as process:
            while process.poll() is None:
                try:
                    _, client = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0)
                else:
                    accepted += 1
                    client.close()
            assert process.returncode == 1
        assert accepted == 0
        told = os.read(reader, 4096).decode()
        assert told == (
            f"wsgw: cannot listen on 127.0.0.1:{admin_port}: address already in use"
            " (server.admin.address)\n"
        )
    finally:
        os.close(reader)
        os.close(writer)
        taken.close()


async def test_refused_clients_are_logged_once_a_minute() -> None:
    port, dead = free_ports(2)
    reader, writer = os.pipe()
    try:
        addresses = {"FE_ADDR": f"127.0.0.1:{port}", "ADM_ADDR": "127.0.0.1:0"}
        url = f"ws://127.0.0.1:{dead}"
        with started("run", "", writer, BE_URLS=url, **addresses) as process:
            async with asyncio.timeout(TIMEOUT):
                refused = 0
                while refused < 50:
                    try:
                        async with connect(f"ws://127.0.0.1:{port}"):
                            pass
                    except InvalidStatus:
                        refused += 1
                    except OSError:
                        await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
        lines = os.read(reader, 1 << 16).decode().splitlines()
        assert sum("no backend" in line for line in lines) == 1
    finally:
        os.close(reader)
        os.close(writer)
