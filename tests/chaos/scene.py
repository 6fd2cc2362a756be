"""A gateway and two backends as processes, clients in this one, and what is done to them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from ..journeys.eventually import PATIENCE, until
from ..journeys.reserved_port import ReservedPort
from ..journeys.server_process import ServerProcess
from .history import Reading, Sent, Verdict, judge, read_logs
from .load import LoadClient

_HERE = Path(__file__).parent


class Backend(ServerProcess):
    """One backend: its port and its log stay the same over all its lives."""

    def __init__(self, reserved: ReservedPort, log: Path, *options: str) -> None:
        super().__init__("recording_backend", str(reserved.port), str(log), *options, path=_HERE)
        self.log = log
        self.url = f"ws://127.0.0.1:{reserved.port}"

    @property
    def readings(self) -> int:
        """How much its log holds, in bytes: grows while it serves."""
        return self.log.stat().st_size if self.log.exists() else 0

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)


class Scene:
    """What takes part in a test."""

    def __init__(self, gateway: ServerProcess, backends: list[Backend]) -> None:
        self.gateway = gateway
        self.backends = backends
        self.clients: list[LoadClient] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.gateway.port}"

    @property
    def records(self) -> list[Sent]:
        return [client.record for client in self.clients]

    def readings(self) -> list[Reading]:
        return read_logs(backend.log for backend in self.backends)

    def verdict(self) -> Verdict:
        return judge(self.records, self.readings())

    async def start_clients(self, count: int, size: int) -> None:
        """Start clients that send at a steady pace, and wait until all are served."""
        self.clients = [LoadClient(f"c{number}", size) for number in range(count)]
        self._tasks = [asyncio.create_task(client.run(self.url)) for client in self.clients]
        await self.all_are_served()

    async def all_are_served(self) -> None:
        """Wait until each client has had an answer to a message that it sends from now on."""
        marks = [record.sent for record in self.records]

        def served() -> bool:
            self._raise_faults()
            return all(
                record.dropped or (record.answered and max(record.answered) >= mark)
                for record, mark in zip(self.records, marks, strict=True)
            )

        await until(served, "every client is served")

    async def finish(self) -> Verdict:
        """Stop the clients, wait until all is answered, and judge."""
        for client in self.clients:
            client.stop_sending()
        done, late = await asyncio.wait(self._tasks, timeout=PATIENCE)
        for task in late:  # not answered; the verdict says so
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            task.result()
        return self.verdict()

    async def settled(self, satisfied: Callable[[Verdict], bool]) -> Verdict:
        """Wait until the logs satisfy, or nothing comes any more; then judge."""
        quiet, before = 0, -1
        while quiet < 30:
            size = sum(backend.readings for backend in self.backends)
            quiet = quiet + 1 if size == before else 0
            before = size
            if quiet in (1, 30) and satisfied(verdict := self.verdict()):
                return verdict
            await asyncio.sleep(0.1)
        return self.verdict()

    def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _raise_faults(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()


@asynccontextmanager
async def open_scene(
    folder: Path, options: Iterable[tuple[str, ...]], **sections: Any
) -> AsyncIterator[Scene]:
    """Start everything; all processes are gone at the end of the block, whatever happens.

    Args:
        folder: for logs and configuration.
        options: of each backend.
        **sections: of the gateway's configuration.
    """
    with ExitStack() as processes:
        backends = []
        for number, words in enumerate(options):
            reserved = processes.enter_context(ReservedPort())
            backend = Backend(reserved, folder / f"backend-{number}.log", *words)
            backends.append(processes.enter_context(backend))
        configuration = folder / "wsgw.yaml"
        data = {
            "server": {"frontend": {"address": "127.0.0.1:0"}},
            "upstream": {"backends": [{"url": backend.url} for backend in backends]},
            **sections,
        }
        configuration.write_text(yaml.safe_dump(data))
        gateway = processes.enter_context(
            ServerProcess("wsgw_core.cli.main", "run", "-c", str(configuration))
        )
        await asyncio.gather(gateway.start(), *(backend.start() for backend in backends))
        scene = Scene(gateway, backends)
        try:
            yield scene
        finally:
            scene.abandon()
