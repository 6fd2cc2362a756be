"""`wsgw run` between real clients and backends, and its errors when it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
import yaml
from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .conftest import StartBackend
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess

# The process has a loop of its own; that of the test makes no difference.
one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])


class RunGateway(Protocol):
    """Runs `wsgw run` until the end of the test."""

    async def __call__(self, *arguments: str, **variables: str) -> ServerProcess: ...


@pytest.fixture
async def run_gateway(
    start_backend: StartBackend,  # noqa: ARG001 - so that it is stopped before backends
) -> AsyncIterator[RunGateway]:
    with ExitStack() as running:

        async def run(*arguments: str, **variables: str) -> ServerProcess:
            gateway = running.enter_context(
                ServerProcess("wsgw_core.cli.main", "run", *arguments, variables=variables)
            )
            return await gateway.start()

        yield run


@one_loop
async def test_gateway_configured_by_variables_fails_over_and_stops_cleanly(
    run_gateway: RunGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await run_gateway(BE_URLS=f"{blue.url},{green.url}", FE_ADDR="127.0.0.1:0")

    async with connect(f"ws://127.0.0.1:{gateway.port}/path") as client:
        served = await blue.connection()
        await client.send("one")
        assert await served.recv() == "one"
        await blue.down()
        moved = await green.connection()
        assert moved.request is not None
        assert moved.request.path == "/path"
        await moved.send("two")
        assert await client.recv() == "two"

        gateway.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        await moved.wait_closed()

    assert client.close_code == 1012
    assert moved.close_code == 1001
    assert await gateway.ended() == 0
    assert "Traceback" not in "\n".join(gateway.lines)


@one_loop
async def test_warning_is_reported_by_check_and_at_the_start(
    run_gateway: RunGateway, tmp_path: Path
) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(
        "server: {frontend: {address: '127.0.0.1:0'}}\n"
        "upstream: {backends: [{url: 'ws://127.0.0.1:1'}]}\n"
        "limits: {ledger-messages: 32}\n"
    )
    gateway = await run_gateway("-c", str(file))
    check = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("wsgw"), "check", "-c", file),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, told = await check.communicate()
    doubt = f"{file}:2: upstream.backends[0].replay-window: is cut short for a client"
    assert any(doubt in line for line in gateway.lines)
    assert check.returncode == 0
    assert told.decode().startswith(f"wsgw: {doubt}")


@one_loop
async def test_gateway_is_configured_by_a_file(
    run_gateway: RunGateway, backend: ScriptedBackend, tmp_path: Path
) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "server": {
                    "frontend": {"address": "127.0.0.1:0"},
                    "reconnect-header": "X-Again",
                    "logging-level": "INFO",
                },
                "upstream": {"backends": [{"url": backend.url, "ping-time": "10s"}]},
                "failover": {"hold": "2s"},
                "limits": {"max-message-size": "2KiB"},
            }
        )
    )
    gateway = await run_gateway("-c", str(file))

    async with (
        ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{gateway.port}") as client,
    ):
        (await backend.connection()).transport.abort()
        moved = await backend.connection()
        assert moved.request is not None
        assert moved.request.headers["X-Again"] == "1"
        await backend.down()
        await client.receive()
        assert client.close_code == 1013

    assert any("moved from" in line for line in gateway.lines)


@one_loop
async def test_killed_gateway_closes_the_connections_of_both_legs(
    run_gateway: RunGateway, backend: ScriptedBackend
) -> None:
    gateway = await run_gateway(BE_URLS=backend.url, FE_ADDR="127.0.0.1:0")
    async with connect(f"ws://127.0.0.1:{gateway.port}") as client:
        served = await backend.connection()
        gateway.kill()
        await served.wait_closed()
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert served.close_code == 1006


HEAD = """
    from wsgw_core.api import Options, hookimpl
    WSGW_API = "1.0"
"""
FAULTS = {
    "misspelt": (
        "@hookimpl\ndef wsgw_register_valve(registry): ...",
        "did you mean 'wsgw_register_valves'?",
    ),
    "async": (
        "@hookimpl\nasync def wsgw_register_valves(registry): ...",
        "wsgw_register_valves is an async function",
    ),
    "undecorated": ("def wsgw_register_valves(registry): ...", "is not decorated with hookimpl"),
    "too new": ("WSGW_API = '1.99'", "written for version 1.99"),
    "empty": ("", "registers nothing"),
    "failing": (
        "@hookimpl\ndef wsgw_register_valves(registry): raise LookupError('out of pigeons')",
        "registration failed: LookupError: out of pigeons",
    ),
    "twice": (
        (
            "@hookimpl\ndef wsgw_register_valves(registry):\n"
            "    for _ in 'ab': registry.add('acme', Options, object)"
        ),
        "'acme' is registered twice",
    ),
    "other kind": (
        "@hookimpl\ndef wsgw_register_valves(registry): registry.add('emca', Options, object)",
        "'acme'",
    ),
    "options": (
        "@hookimpl\ndef wsgw_register_valves(registry): registry.add('acme', Options, object)",
        "unknown key 'speed'",
    ),
}


@pytest.mark.parametrize(("source", "told"), FAULTS.values(), ids=FAULTS.keys())
def test_faulty_plugin_is_reported_in_one_line_with_exit_status_2(
    tmp_path: Path, source: str, told: str
) -> None:
    info = tmp_path / "acme_plugin-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugin\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text("[wsgw]\nacme = acme_module\n")
    (tmp_path / "acme_module.py").write_text(textwrap.dedent(HEAD) + source + "\n")
    file = tmp_path / "wsgw.yaml"
    file.write_text(
        "server: {frontend: {address: '127.0.0.1:0'}}\n"
        "upstream: {backends: [{url: 'ws://127.0.0.1:1'}]}\n"
        "valves: [{kind: acme, speed: 3}]\n"
    )
    result = subprocess.run(
        [Path(sys.executable).with_name("wsgw"), "run", "-c", file],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
    )

    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("wsgw: ")
    assert told in line
    assert "acme-plugin 9.9" in line or "valves[0]" in line
