"""Each application on its server, behind a gateway."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.testing.running_gateway import running_gateway

FOLDER = Path(__file__).parents[1]
TIMEOUT = 60.0
SERVERS = {
    "fastapi_application": (
        "uvicorn",
        "fastapi_application:app",
        "--log-level=warning",
        "--fd={fd}",
    ),
    "flask_application": ("wsgi", "flask_application:app", "{fd}"),
    "django_application": ("wsgi", "django_application:app", "{fd}"),
}
# The command `waitress-serve` takes no socket, and a free port would be a guess.
SERVE_WSGI = """\
import importlib, socket, sys, waitress
module, _, name = sys.argv[1].partition(":")
application = getattr(importlib.import_module(module), name)
waitress.serve(application, sockets=[socket.socket(fileno=int(sys.argv[2]))])
"""


@asynccontextmanager
async def serving(server: str, *arguments: str) -> AsyncIterator[int]:
    """Runs an application on a socket of the test, and yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        start = ("-c", SERVE_WSGI) if server == "wsgi" else ("-m", server)
        given = (argument.format(fd=listening.fileno()) for argument in arguments)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *start, *given, cwd=FOLDER, pass_fds=(listening.fileno(),)
        )
        try:
            yield listening.getsockname()[1]
        finally:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("name", SERVERS)
async def test_application_serves_websocket_clients(name: str) -> None:
    async with serving(*SERVERS[name]) as port:
        backend = {"url": f"http://127.0.0.1:{port}/ws{{path}}"}
        async with (
            running_gateway({"upstream": {"backends": [backend]}}) as gateway,
            asyncio.timeout(TIMEOUT),
            connect(f"{gateway.url}/lobby?name=ada", open_timeout=TIMEOUT) as client,
        ):
            await client.send("hello")
            assert await client.recv() == "ada in lobby: hello"
            await client.send("bye")
            assert await client.recv() == "bye ada"
            await client.wait_closed()
            assert client.close_code == 1000
            with pytest.raises(InvalidStatus) as caught:
                await connect(f"{gateway.url}/lobby", open_timeout=TIMEOUT)
            assert caught.value.response.status_code == 401


@pytest.mark.parametrize("name", SERVERS)
def test_application_has_fewer_than_40_lines(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text("utf-8").splitlines()) < 40
