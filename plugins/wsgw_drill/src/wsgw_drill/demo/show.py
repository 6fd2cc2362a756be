"""Runs `wsgw demo`."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from rich.console import Console
from rich.table import Table
from websockets.exceptions import WebSocketException

from ..processes.server_process import Processes, ProcessFailed, ServerProcess
from .counting_client import CountingClient, Tally

_CALM = 1.2
_AWAY = 0.8
_TIMEOUT = 5.0
# Settings in the user's shell must not affect the demo.
_FOREIGN_VARIABLES = ("BE_", "FE_", "ADM_", "LOG_LEVEL")


def show() -> int:
    """Shows a failover on the terminal.

    Returns:
        The exit status: 0 when nothing was lost and the client noticed nothing, 1 otherwise, and
        the gateway's own status when it does not start.
    """
    console = Console(highlight=False, soft_wrap=True)
    # SIGTERM ends the demo like SIGINT, with the clean-up below.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tally = asyncio.run(_Show(console).run())
    except ProcessFailed as error:
        console.print(f"Cannot start the demo: {error}", markup=False)
        return error.status or 1
    except (OSError, WebSocketException) as error:
        console.print(f"The client cannot connect: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; every process of the demo has ended.")
        return 130
    _print_result(console, tally)
    return 0 if tally.unnoticed else 1


class _Show:
    """One run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()
        self._backends: dict[str, ServerProcess] = {}
        self._serving = asyncio.Event()
        self._served = False

    async def run(self) -> Tally:
        environment = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(_FOREIGN_VARIABLES)
        }
        async with Processes(environment) as processes:
            for name in ("blue", "green"):
                await self._start_backend(processes, name, port=0)
            gateway = await self._start_gateway(processes)
            client = CountingClient(f"ws://127.0.0.1:{gateway.port}/demo", self._served_by)
            running = asyncio.create_task(client.run(_TIMEOUT))
            try:
                await self._break_things(processes, client, running)
                client.stop_sending()
                await self._watch(running, 2 * _TIMEOUT)
            finally:
                running.cancel()
            if not client.tally.unnoticed:
                for line in gateway.lines:
                    self._console.print(line, markup=False)
            return client.tally

    async def _start_backend(self, processes: Processes, name: str, port: int) -> None:
        backend = await processes.start(
            f"backend {name}", "wsgw_drill.demo.echo_backend", str(port), "--name", name
        )
        self._backends[name] = backend
        self._tell(f"backend {name} listens on port {backend.port}")

    async def _start_gateway(self, processes: Processes) -> ServerProcess:
        urls = [f"ws://127.0.0.1:{backend.port}" for backend in self._backends.values()]
        gateway = await processes.start(
            "the gateway",
            "wsgw_core.cli.main",
            "run",
            variables={
                "FE_ADDR": "127.0.0.1:0",
                "ADM_ADDR": "127.0.0.1:0",
                "BE_URLS": ",".join(urls),
                "BE_URL_IDS": ",".join(self._backends),
                "LOG_LEVEL": "WARN",
            },
        )
        self._tell(f"the gateway listens on port {gateway.port}")
        return gateway

    async def _break_things(
        self, processes: Processes, client: CountingClient, running: asyncio.Task[None]
    ) -> None:
        self._tell("a client connects and sends a numbered message every 10 ms")
        await self._watch(running, _TIMEOUT, until=self._serving)
        for _ in self._backends:
            await self._watch(running, _CALM)
            name = client.backend
            if running.done() or not name:
                self._tell("[bold red]the client has lost its connection or is not served[/]")
                return
            port = self._backends[name].port
            self._serving.clear()
            self._tell(f"[bold red]kill -9[/] backend {name}, which serves the client")
            await processes.kill(self._backends[name])
            await self._watch(running, _TIMEOUT, until=self._serving)
            await self._watch(running, _AWAY)
            await self._start_backend(processes, name, port)
        await self._watch(running, _CALM)

    async def _watch(
        self, running: asyncio.Task[None], duration: float, until: asyncio.Event | None = None
    ) -> None:
        """Waits for some time or for an event; raises the client's exception if it fails."""
        tasks = [running] + ([asyncio.create_task(until.wait())] if until else [])
        await asyncio.wait(tasks, timeout=duration, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[1:]:
            task.cancel()
        if running.done():
            running.result()

    def _served_by(self, name: str) -> None:
        now = "now served" if self._served else "served"
        self._served = True
        self._tell(f"the client is {now} by [bold green]{name}[/]")
        self._serving.set()

    def _tell(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._start:6.2f} s[/]  {text}")


def _print_result(console: Console, tally: Tally) -> None:
    table = Table("sent", "answered", "lost", "duplicated", "disconnects", "longest pause")
    table.add_row(
        str(tally.sent),
        str(tally.answered),
        str(tally.lost),
        str(tally.duplicated),
        str(tally.disconnects),
        f"{tally.longest_pause * 1000:.0f} ms",
    )
    console.print(table)
    console.print(
        "Duplicates are allowed: wsgw sends again what a dead backend may not have processed"
        " (at least once)."
    )
    if tally.out_of_order:
        console.print(f"{tally.out_of_order} answers arrived out of order.")
    if tally.unnoticed:
        console.print("Nothing was lost, and the client noticed nothing.")
    else:
        console.print("[bold red]Messages were lost, or the client noticed the failures.[/]")
