"""The admin API of a gateway that runs as a process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect

from .eventually import until
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess

Run = Callable[..., Awaitable[ServerProcess]]

one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])


@pytest.fixture
def run_gateway(backend: ScriptedBackend, tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as running:

        async def run(text: str = "", **variables: str) -> ServerProcess:
            file = tmp_path / "wsgw.yaml"
            file.write_text(f"upstream: {{backends: [{{id: blue, url: '{backend.url}'}}]}}\n{text}")
            given = {"FE_ADDR": "127.0.0.1:0", "LOG_LEVEL": "INFO", **variables}
            process = ServerProcess("wsgw_core.cli.main", "run", "-c", str(file), variables=given)
            return await running.enter_context(process).start()

        yield run


async def admin_url(process: ServerProcess) -> str:
    def said() -> re.Match[str] | None:
        found = (re.search(r"admin API on 127\.0\.0\.1:(\d+)", line) for line in process.lines)
        return next(filter(None, found), None)

    await until(said)
    match = said()
    assert match is not None
    return f"http://127.0.0.1:{match[1]}"


@one_loop
async def test_admin_api_serves_and_reports_that_the_gateway_is_stopping(
    run_gateway: Run, backend: ScriptedBackend
) -> None:
    process = await run_gateway(WSGW_SERVER__DRAIN_TIME="2s")
    url = await admin_url(process)
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{url}/readyz") as ready:
            assert ready.status == 200
        async with AsyncExitStack() as clients:
            for _ in range(10):  # the gateway closes them one after the other
                await clients.enter_async_context(connect(f"ws://127.0.0.1:{process.port}"))
                await backend.connection()
            process.signal(signal.SIGTERM)
            reasons: list[str] = []
            while not reasons:
                async with client.get(f"{url}/readyz") as ready:
                    reasons = (await ready.json())["reasons"]
                await asyncio.sleep(0.02)
            assert reasons == ["the gateway is stopping"]
    assert await process.ended() == 0


@one_loop
async def test_actions_are_audited_at_any_log_level(run_gateway: Run) -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    process = await run_gateway(LOG_LEVEL="ERROR", ADM_ADDR=f"127.0.0.1:{port}")
    async with aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{port}/backend/disable/blue"
        async with client.post(url) as answer:
            assert await answer.json() == {"result": "success"}
    await until(lambda: any("wsgw.audit: POST /backend/disable/blue" in x for x in process.lines))


@one_loop
async def test_json_log_has_session_fields_and_no_secret(
    run_gateway: Run, backend: ScriptedBackend
) -> None:
    process = await run_gateway("server: {logging-format: json}")
    async with connect(f"ws://127.0.0.1:{process.port}/chat?token=s3cret"):
        await backend.connection()

    def ended() -> bool:
        return any('"event": "session' in line and "ended" in line for line in process.lines)

    await until(ended)
    records = [json.loads(line) for line in process.lines]
    assert any("listening on" in each["event"] for each in records)
    opened = next(each for each in records if "opened at backend" in each["event"])
    assert opened["backend"] == "blue"
    last = next(each for each in records if "ended" in each["event"])
    assert last["session"] == opened["session"]
    assert last["reason"].startswith("1000")
    assert "s3cret" not in "".join(process.lines)


@pytest.mark.slow
@one_loop
async def test_admin_address_in_use_is_reported(run_gateway: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AssertionError, match=rf"{port}: address .*\(server\.admin\.address\)"):
            await run_gateway(ADM_ADDR=f"127.0.0.1:{port}")


@one_loop
async def test_disabled_admin_api_is_not_imported(run_gateway: Run) -> None:
    process = await run_gateway("server: {admin: false}", PYTHONPROFILEIMPORTTIME="1")
    await until(lambda: any("admin API disabled" in line for line in process.lines))
    imported = {line.rpartition("|")[2].strip() for line in process.lines if "|" in line}
    assert "wsgw_core.process.daemon" in imported
    assert not imported & {"wsgw_core.admin", "aiohttp"}


@one_loop
@pytest.mark.parametrize("layout", ["console", "json"])
async def test_no_secret_is_logged_at_debug_level(
    run_gateway: Run, backend: ScriptedBackend, layout: str
) -> None:
    secret = "s3cr3t-that-nobody-may-see"  # noqa: S105 - a marker
    process = await run_gateway(
        f"server: {{logging-format: {layout}, admin: {{tokens: ["
        f"{{name: ops, token: {secret}, roles: [operate]}}]}}}}",
        LOG_LEVEL="DEBUG",
        PYTHONASYNCIODEBUG="1",
    )
    url = await admin_url(process)
    headers = {"Authorization": f"Bearer {secret}", "Cookie": f"sid={secret}"}
    target = f"/chat?token={secret}&other={secret}"
    where = f"127.0.0.1:{process.port}"
    async with aiohttp.ClientSession(headers=headers) as client:
        async with connect(f"ws://{where}{target}", additional_headers=headers) as websocket:
            served = await backend.connection()
            await websocket.send(secret)
            assert await served.recv() == secret
            await client.post(f"{url}/backend/failover/blue?token={secret}")
            await backend.connection()
            await client.post(f"{url}/backend/add", data=f'{{"url": "ws://u:{secret}@x:1"}}')
            await client.post(f"{url}/backend/add", data=f'{{"url": "{secret}"}}')
            await client.get(f"{url}/nothing?token={secret}")
        async with client.get(f"http://{where}{target}") as refused:  # not a websocket
            assert refused.status in (400, 426)
        async with client.put(f"http://{where}{target}#{secret}") as refused:
            assert refused.status in (400, 405)
        async with client.get(f"{url}/healthz", headers={"X Bad": secret}) as refused:
            assert refused.status == 400
    process.signal(signal.SIGTERM)
    assert await process.ended() == 0
    assert sum("session" in line for line in process.lines) > 3
    assert not [line for line in process.lines if secret in line]
