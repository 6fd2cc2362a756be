"""The gateway's machine has no descriptors, ports or memory left; no backend counts as failed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .conftest import StartGateway
from .eventually import until
from .raw_client import raw_client, request
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess

one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])


class Echo:
    """A backend that sends back what it gets."""

    port: int

    def __init__(self) -> None:
        self.at: dict[str, ServerConnection] = {}  # the last connection for each path

    async def answer(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.at[connection.request.path] = connection
        with contextlib.suppress(ConnectionClosed):  # aborted
            async for message in connection:
                await connection.send(message)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    backend = Echo()
    options: dict[str, Any] = {"compression": None, "ping_interval": None}
    async with serve(backend.answer, "127.0.0.1", 0, **options) as server:
        (listening,) = server.sockets
        backend.port = listening.getsockname()[1]
        yield backend


class Process:
    """A gateway as a process whose open-file limit the test can lower."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._process.port}"

    @property
    def lines(self) -> list[str]:
        return self._process.lines

    def descriptors(self) -> int:
        """Return the number of open descriptors."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208 - names alone

    async def at_rest(self) -> int:
        """Return the number of open descriptors once it is stable."""
        before = -1
        while before != (now := self.descriptors()):
            before = now
            await asyncio.sleep(0.2)
        return now

    def leave(self, count: int) -> None:
        """Leave this many free descriptors."""
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)
        limits = (self.descriptors() + count, hard)
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, limits)

    async def counters(self) -> dict[str, int]:
        told = self._told()
        before = len(told)
        self._process.signal(signal.SIGUSR1)
        await until(lambda: len(self._told()) > before, "the counters are told")
        counters: dict[str, int] = json.loads(self._told()[-1].removeprefix("counters "))
        return counters

    def _told(self) -> list[str]:
        return [line for line in self._process.lines if line.startswith("counters ")]


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as running:
        yield running


async def start(processes: ExitStack, folder: Path, loop: str, url: str, *limits: str) -> Process:
    file = folder / "wsgw.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "server": {"frontend": {"address": "127.0.0.1:0"}, "logging-level": "INFO"},
                "upstream": {"backends": [{"url": url}]},
            }
        )
    )
    process = ServerProcess(
        "counting_gateway", loop, str(file), *limits, path=Path(__file__).parent
    )
    return Process(await processes.enter_context(process).start())


def skip_elsewhere() -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        sys.platform != "linux", reason="the limit of another process is lowered"
    )


async def connect_with_retries(gateway: Process) -> int:
    """Retry until served, exchange messages and leave; return the number of refusals."""
    for refused in range(1000):
        try:
            client = await connect(gateway.url, open_timeout=None, compression=None)
        except InvalidStatus as error:
            if (error.response.status_code, error.response.headers["Retry-After"]) != (503, "5"):
                raise
            await asyncio.sleep(0.1)
            continue
        async with client:
            for number in range(10):
                await client.send(str(number))
                assert await client.recv() == str(number)
                await asyncio.sleep(0.01)
        return refused
    raise AssertionError("never let in")


@one_loop
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_default_session_limit_fits_the_open_file_limit(
    processes: ExitStack, tmp_path: Path, echo: Echo, loop: str
) -> None:
    gateway = await start(processes, tmp_path, loop, f"ws://127.0.0.1:{echo.port}", "200")
    async with AsyncExitStack() as clients:
        for _ in range(18):
            client = await clients.enter_async_context(connect(gateway.url, compression=None))
            await client.send("hello")
            assert await client.recv() == "hello"
        for _ in range(50):
            with pytest.raises(InvalidStatus) as caught:
                await connect(gateway.url)
            assert caught.value.response.status_code == 503
        counters = await gateway.counters()
    assert counters["sessions"] == 18
    assert counters["refused_max_sessions"] == 50
    assert counters["local_dial_errors"] == 0
    assert counters["accept_pauses"] == 0


@one_loop
@skip_elsewhere()
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_clients_wait_and_sessions_move_while_descriptors_are_short(
    processes: ExitStack, tmp_path: Path, echo: Echo, loop: str
) -> None:
    gateway = await start(processes, tmp_path, loop, f"ws://127.0.0.1:{echo.port}")
    async with connect(f"{gateway.url}/kept", compression=None, ping_interval=None) as kept:
        await kept.send("first")
        assert await kept.recv() == "first"
        gateway.leave(20)
        coming = [asyncio.create_task(connect_with_retries(gateway)) for _ in range(40)]
        await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
        echo.at["/kept"].transport.abort()
        await kept.send("to another connection")
        while await kept.recv() != "to another connection":
            pass  # the first is replayed, unless it was acknowledged long enough ago
        refusals = sum(await asyncio.gather(*coming))
        counters = await gateway.counters()
    assert counters["accept_pauses"] > 0
    assert counters["sessions"] == 41
    assert counters["failovers"] == 1
    assert counters["dials_failed"] == 0
    assert counters["handshakes_refused"] == refusals
    assert counters["local_dial_errors"] >= refusals
    told = "\n".join(gateway.lines)
    assert told.count("accepting is paused: too few free file descriptors") == 1
    assert "Traceback" not in told


@one_loop
@skip_elsewhere()
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_client_gets_503_without_descriptors_and_no_backend_fails(
    processes: ExitStack, tmp_path: Path, echo: Echo, loop: str, host: str
) -> None:
    gateway = await start(processes, tmp_path, loop, f"ws://{host}:{echo.port}")
    await connect_with_retries(gateway)  # warm up: late imports are done
    idle = await gateway.at_rest()
    async with raw_client("127.0.0.1", int(gateway.url.rpartition(":")[2])) as accepted:
        accepted.write("GET / HTTP/1.1\r\n")
        await until(lambda: gateway.descriptors() > idle, "accepted")
        gateway.leave(0)
        accepted.write(request().partition("\r\n")[2])
        answer = await accepted.answer()
        waiting = asyncio.create_task(connect_with_retries(gateway))
        while not (counters := await gateway.counters())["accept_pauses"]:
            pass
    assert (answer.status, answer.values("Retry-After")) == (503, ["5"])
    assert not waiting.done()
    gateway.leave(20)
    await waiting
    counters = await gateway.counters()
    assert counters["local_dial_errors"] == 1
    assert counters["dials_failed"] == 0
    assert counters["handshakes_refused"] == 1
    assert counters["sessions"] == 2
    told = "\n".join(gateway.lines)
    assert told.count("the gateway cannot dial") == 1
    assert "Traceback" not in told
    assert "no backend" not in told


class Want:
    """Makes dials of one port fail with an error of the system."""

    def __init__(self, port: int, code: int) -> None:
        self.port = port
        self.code = code
        self.over = False
        self._loop: Any = asyncio.get_running_loop()
        self._create_connection = self._loop.create_connection

    async def create_connection(self, factory: Any, host: Any, port: Any, **options: Any) -> Any:
        if port == self.port and not self.over:
            raise OSError(self.code, os.strerror(self.code))
        return await self._create_connection(factory, host, port, **options)


NAMES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL"]


@pytest.mark.parametrize("name", NAMES)
async def test_new_client_gets_503_during_the_shortage_and_is_served_after_it(
    start_gateway: StartGateway,
    backend: ScriptedBackend,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    gateway = await start_gateway({"url": backend.url, "breaker-threshold": 1})
    want = Want(int(backend.url.rpartition(":")[2]), getattr(errno, name))
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", want.create_connection)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as caught:
            await connect(gateway.url)
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["Retry-After"] == "5"
    want.over = True
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("hello")
        assert await served.recv() == "hello"
    assert gateway.count("local_dial_errors") == 2
    assert gateway.count("dials_failed") == 0


@pytest.mark.parametrize("name", ["EMFILE", "EADDRNOTAVAIL"])
async def test_session_is_held_until_the_shortage_is_over(
    start_gateway: StartGateway,
    backend: ScriptedBackend,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    gateway = await start_gateway(backend)
    async with connect(gateway.url) as client:
        served = await backend.connection()
        want = Want(int(backend.url.rpartition(":")[2]), getattr(errno, name))
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", want.create_connection)
        served.transport.abort()
        await client.send("kept meanwhile")
        await until(lambda: gateway.count("local_dial_errors") >= 2)
        want.over = True
        moved = await backend.connection()
        assert await moved.recv() == "kept meanwhile"
        with pytest.raises(ConnectionClosed):
            await served.recv()
    assert gateway.count("dials_failed") == 0
    assert gateway.count("holds_expired") == 0
