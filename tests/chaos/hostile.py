"""Measures how hostile peers affect others: attacks a gateway with default settings in many ways.

usage: python -m tests.chaos.hostile [--seconds SECONDS] [ATTACK ...]

During each attack, 20 sessions keep echoing, a new client repeatedly connects and echoes, and
`/healthz` is called. The attackers have their own backend. Prints a Markdown table; for Linux.
Gateway, attackers, backends and the measuring process share the machine's processors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from wsgw_drill.gateway_process import DrilledGateway
from wsgw_drill.processes.server_process import Processes

from ..journeys.free_ports import free_ports
from .attacker import PATH
from .attacks import ATTACKS, Attack

ESTABLISHED = 20
TIMEOUT = 30.0  # a longer round counts as this long
_PAUSE = 0.05
_BEGINS = 0.5  # seconds for the attack to begin
_FOREIGN_VARIABLES = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
_OPTIONS: dict[str, Any] = {
    "compression": None,
    "ping_interval": None,
    "close_timeout": 1,
    "open_timeout": TIMEOUT,
}


@dataclass
class Measured:
    """Figures measured during one attack.

    Attributes:
        newcomer, healthz, established: seconds of each round.
        resident: memory of the gateway in bytes before the attack.
        peak: highest memory in bytes.
    """

    attack: Attack
    newcomer: list[float] = field(default_factory=list)
    healthz: list[float] = field(default_factory=list)
    established: list[float] = field(default_factory=list)
    resident: int = 0
    peak: int = 0

    def row(self) -> str:
        """Returns a row of the table."""
        megabytes = [f"{size / 2**20:.0f}" for size in (self.resident, self.peak)]
        cells = [
            self.attack.title,
            *(
                f"{milliseconds(statistics.median(times))} / {milliseconds(max(times))}"
                for times in (self.newcomer, self.healthz)
            ),
            f"{milliseconds(p99(self.established))} / {milliseconds(max(self.established))}",
            " → ".join(megabytes),
        ]
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| attack | connect and echo, ms: median / worst | `/healthz`, ms: median / worst "
    "| 20 sessions, ms: p99 / worst | memory, MiB: before → most |\n|---|---|---|---|---|"
)


def milliseconds(seconds: float) -> str:
    """Returns it as text."""
    return f"{seconds * 1000:.0f}"


def p99(times: list[float]) -> float:
    """Returns the 99th percentile."""
    return sorted(times)[len(times) * 99 // 100]


async def repeat(
    once: Callable[[], Awaitable[object]], times: list[float], until: float, rounds: int
) -> None:
    """Repeats until the end time, at least `rounds` times; records the duration of each round."""
    while (began := time.monotonic()) < until or len(times) < rounds:
        with contextlib.suppress(OSError, TimeoutError, ClientError, WebSocketException):
            await asyncio.wait_for(once(), TIMEOUT)
            times.append(time.monotonic() - began)
            await asyncio.sleep(_PAUSE)
            continue
        times.append(TIMEOUT)


async def echo(connection: ClientConnection) -> None:
    """Sends a message and waits for its echo."""
    await connection.send("x" * 100)
    await connection.recv()


@contextlib.asynccontextmanager
async def attacked_gateway(name: str, seconds: float) -> AsyncIterator[tuple[DrilledGateway, str]]:
    """Runs a gateway and backends; yields the gateway and its health URL."""
    environment = {
        key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN_VARIABLES)
    }
    compressed, memory = ATTACKS[name].compressed, ATTACKS[name].memory
    async with Processes(environment) as processes:
        good = await processes.start("the echo", "wsgw_drill.demo.echo_backend", "0")
        if ATTACKS[name].backend is None:
            command = ["wsgw_drill.demo.echo_backend", "0"]
        else:
            command = ["tests.chaos.attacker", "backend", name, str(seconds)]
        attacked = await processes.start("the attackers' backend", *command)
        admin = f"127.0.0.1:{free_ports(1)[0]}"
        attacked_url = f"ws://127.0.0.1:{attacked.port}"
        config = {
            "server": {
                "frontend": {"address": "127.0.0.1:0", "compression": compressed},
                "admin": {"address": admin},
                "logging-level": "ERROR",
            },
            "limits": {} if memory is None else {"memory": memory},
            "upstream": {"backends": [{"url": f"ws://127.0.0.1:{good.port}"}]},
            "routes": [
                {
                    "id": "attacked",
                    "paths": [PATH],
                    "backends": [{"url": attacked_url, "compression": compressed}],
                },
                {"id": "others"},
            ],
        }
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(config, file)
            file.flush()
            process = await processes.start(
                "the gateway", "wsgw_core.cli.main", "run", "-c", file.name
            )
            url = f"ws://127.0.0.1:{process.port}/"
            yield DrilledGateway(url, process.pid, process), f"http://{admin}/healthz"


async def measure(name: str, seconds: float, rounds: int = 0) -> Measured:
    """Attacks a new gateway for this long, and until each measured peer had enough rounds."""
    measured = Measured(ATTACKS[name])
    at_most = seconds + rounds * TIMEOUT  # of the attack, which ends after the measurement
    async with (
        attacked_gateway(name, at_most) as (gateway, health),
        ClientSession(timeout=ClientTimeout(total=TIMEOUT)) as http,
        contextlib.AsyncExitStack() as sessions,
    ):
        assert gateway.process is not None

        async def connect_and_echo() -> None:
            async with connect(gateway.url, **_OPTIONS) as connection:
                await echo(connection)

        async def call_health() -> None:
            async with http.get(health) as answer:
                answer.raise_for_status()
                await answer.read()

        established = [
            partial(echo, await sessions.enter_async_context(connect(gateway.url, **_OPTIONS)))
            for _ in range(ESTABLISHED)
        ]
        await asyncio.gather(connect_and_echo(), call_health(), *(one() for one in established))
        gateway.forget_peak()
        before = gateway.footprint()
        attacker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.attacker", "client", name, str(at_most)),
            str(gateway.process.port),
        )
        try:
            await asyncio.sleep(_BEGINS)
            until = time.monotonic() + seconds - 2 * _BEGINS
            await asyncio.gather(
                repeat(connect_and_echo, measured.newcomer, until, rounds),
                repeat(call_health, measured.healthz, until, rounds),
                *(repeat(one, measured.established, until, rounds) for one in established),
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                attacker.kill()
            await attacker.wait()
        after = gateway.footprint()
        assert before is not None
        assert after is not None
        measured.resident, measured.peak = before.resident, after.peak
    return measured


async def run(names: list[str], seconds: float) -> None:
    """Measures and prints."""
    print(HEAD, flush=True)  # noqa: T201 - the program's output
    for name in names:
        print((await measure(name, seconds)).row(), flush=True)  # noqa: T201 - the program's output


def main() -> None:
    """Runs with the process's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="duration of each attack (8)")
    parser.add_argument("attack", nargs="*", metavar="ATTACK", help=f"all; or {', '.join(ATTACKS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.attack) - set(ATTACKS)
    if unknown:
        parser.error(f"unknown attack {unknown.pop()}; there are {', '.join(ATTACKS)}")
    asyncio.run(run(arguments.attack or list(ATTACKS), arguments.seconds))


if __name__ == "__main__":
    main()
