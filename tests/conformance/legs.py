"""Runs the fuzzer through a gateway: as its client, and as its backend."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from ..journeys.server_process import ServerProcess
from .case_group import CaseGroup
from .case_report import SHOWN, CaseReport, read_reports

_HERE = Path(__file__).parent
REPORTS = _HERE.parent.parent / "build" / "conformance"
_KOSOKU = Path(sys.executable).with_name("kosoku")
_AT_A_TIME = 8  # many cases wait for a second
_TIMEOUT = 60.0  # seconds for a handshake, on a busy machine
_AGENT = "wsgw"
# The cases count whatever comes, and know of no client that pings. A backend that has never
# answered a ping is pinged at the beginning of each connection: see `_let_clients_echo`.
_NO_PINGS = {"ack-interval": "1h", "ping-time": "1h"}


@dataclass(frozen=True)
class Leg:
    """The results for one of the gateway's two legs.

    Attributes:
        reports: the fuzzer's, in the order of the cases.
        passed_on: the messages that came through the gateway, by the name of the case.
    """

    reports: list[CaseReport]
    passed_on: Mapping[str, list[str]]

    def failures(self) -> list[str]:
        """Describe each failure."""
        found = [str(report) for report in self.reports if not report.passed]
        for report in self.reports:
            if report.breaks_the_protocol and report.case in self.passed_on:
                messages = self.passed_on[report.case]
                if messages != report.whole_messages:
                    found.append(f"{report}\n  passed on: {messages}")
        return found


async def both_legs(group: CaseGroup, cases: Iterable[str], folder: Path) -> dict[str, Leg]:
    """Run cases on both legs at the same time; each has a gateway of its own.

    Args:
        group: how the gateways are configured.
        cases: names or patterns.
        folder: for the fuzzer's reports; those of an earlier run are deleted.
    """
    async with asyncio.TaskGroup() as tasks:
        client = tasks.create_task(client_leg(group, cases, folder / group.name / "client"))
        backend = tasks.create_task(backend_leg(group, cases, folder / group.name / "backend"))
    return {"client": client.result(), "backend": backend.result()}


async def client_leg(group: CaseGroup, cases: Iterable[str], folder: Path) -> Leg:
    """Run the fuzzer as the client of a gateway with an echo backend.

    Args:
        group: how the gateway is configured.
        cases: names or patterns.
        folder: for the fuzzer's reports.
    """
    _empty(folder)
    async with serve(_echo, "127.0.0.1", 0, compression=None, max_size=None) as backend:
        port = backend.sockets[0].getsockname()[1]
        config = {
            "server": {"frontend": {"address": "127.0.0.1:0", "compression": group.compression}},
            "upstream": {"backends": [{"url": _url(port)}]},
            "limits": group.limits,
        }
        async with _gateway(config, folder) as gateway:
            await _kosoku(_url(gateway.port), "-p", str(_AT_A_TIME), *_options(cases, folder))
    return Leg(read_reports(folder), {})


async def backend_leg(group: CaseGroup, cases: Iterable[str], folder: Path) -> Leg:
    """Run the fuzzer as the backend of a gateway whose clients echo.

    Args:
        group, cases, folder: see `client_leg`.
    """
    _empty(folder)
    options = ("-m", "fuzzingserver", *_options(cases, folder), "127.0.0.1:0")
    with ServerProcess("fuzzer", *options, path=_HERE) as fuzzer:
        await fuzzer.start()
        entry = {
            "url": _url(fuzzer.port),
            "compression": group.compression,
            "breaker-threshold": -1,  # this backend violates the protocol on purpose
            **_NO_PINGS,
        }
        config = {
            "server": {"frontend": {"address": "127.0.0.1:0"}},
            "upstream": {"backends": [entry]},
            "limits": group.limits,
            # or the gateway would dial again after a violation, and the case would restart
            "failover": {"enabled": False},
        }
        async with _gateway(config, folder) as gateway:
            passed_on = await _let_clients_echo(_url(gateway.port))
            await fuzzer.ended()
    reports = read_reports(folder)
    assert [report.number for report in reports] == sorted(passed_on), "a case has no report"
    return Leg(reports, {report.case: passed_on[report.number] for report in reports})


async def _let_clients_echo(url: str) -> dict[int, list[str]]:
    """Connect a client for each case, and one that makes the fuzzer write its reports."""
    async with _client(f"{url}/getCaseCount") as client:
        count = int(await client.recv())
    passed_on: dict[int, list[str]] = {number: [] for number in range(1, count + 1)}
    turns = asyncio.Semaphore(_AT_A_TIME)

    async def run(number: int) -> None:
        # The fuzzer's report describes what is wrong with a handshake.
        with contextlib.suppress(InvalidHandshake):
            async with turns, _client(f"{url}/runCase?case={number}&agent={_AGENT}") as client:
                await _echo(client, passed_on[number])

    await run(1)  # time for the backend to answer a ping; a repeated case counts anew
    passed_on[1].clear()
    async with asyncio.TaskGroup() as group:
        for number in passed_on:
            group.create_task(run(number))
    async with _client(f"{url}/updateReports?agent={_AGENT}") as client:
        await client.wait_closed()
    return passed_on


async def _echo(
    connection: ClientConnection | ServerConnection, seen: list[str] | None = None
) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            if seen is not None:
                seen.append(str(message[:SHOWN]))
            await connection.send(message)


async def _kosoku(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        _KOSOKU, *arguments, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        await process.wait()  # the status is 1 when a case has failed
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _gateway(config: Mapping[str, Any], folder: Path) -> AsyncIterator[ServerProcess]:
    """Run `wsgw run`; it must not log an error."""
    file = folder / "wsgw.yaml"
    file.write_text(yaml.safe_dump(config))
    with ServerProcess("wsgw_core.cli.main", "run", "-c", str(file)) as gateway:
        yield await gateway.start()
    faults = [line for line in gateway.lines if "ERROR" in line or "Traceback" in line]
    assert not faults, "\n".join(gateway.lines)


def _options(cases: Iterable[str], folder: Path) -> list[str]:
    return [*(option for case in cases for option in ("-i", case)), "-o", str(folder)]


def _client(url: str) -> connect:
    return connect(
        url, compression=None, max_size=None, open_timeout=_TIMEOUT, ping_interval=None, proxy=None
    )


def _url(port: int) -> str:
    return f"ws://127.0.0.1:{port}"


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
