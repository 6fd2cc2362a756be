"""Servers as processes, which all end at the end of a block."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_LISTENING = re.compile(r"listening on (\S+):(\d+)")
_START_TIMEOUT = 300.0  # a broker takes its time on a busy machine
_STOP_TIMEOUT = 5.0
_KEPT_LINES = 20


class ProcessFailed(Exception):
    """A process did not start, or has ended.

    Args:
        text: its output.
        status: its exit status; None: it runs but does not report its address.
    """

    def __init__(self, text: str, status: int | None) -> None:
        self.status = status
        super().__init__(text)


class ServerProcess:
    """One process that prints `listening on HOST:PORT`.

    Args:
        name: for messages.
        process: the running process.

    Attributes:
        host, port: where it listens.
        lines: its last lines of output.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.host = ""
        self.port = 0
        self.lines: list[str] = []
        self._process = process
        self._listening = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None: the process runs."""
        return self._process.returncode

    async def wait_until_listening(self) -> None:
        """Waits until `port` is known; raises ProcessFailed."""
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await self._listening.wait()
        except TimeoutError:
            text = f"{self.name} did not start within {_START_TIMEOUT:.0f} s"
            raise ProcessFailed(text, None) from None
        if not self.port:
            status = await self._process.wait()
            said = "; ".join(self.lines) or f"{self.name} ended with status {status}"
            raise ProcessFailed(said, status)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process and those that it has started, if it runs."""
        if self.status is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform != "win32" and os.getpgid(self.pid) == self.pid:  # see end_with_parent
                os.killpg(self.pid, number)
            else:
                self._process.send_signal(number)

    async def ended(self) -> int:
        """Waits for the end of the process and returns its exit status."""
        status = await self._process.wait()
        await self._reader
        return status

    async def kill(self) -> None:
        """Kills the process with SIGKILL, like a crash."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """Ends the process with SIGTERM; kills it if it does not end in time."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            await self.kill()

    async def _read(self) -> None:
        if self._process.stdout is None:
            raise RuntimeError("made without a pipe")
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").strip()
            self.lines = [*self.lines, line][-_KEPT_LINES:]
            if match := _LISTENING.search(line):
                self.host, self.port = match[1].strip("[]"), int(match[2])
                self._listening.set()
        self._listening.set()


class Processes:
    """An asynchronous context manager that starts processes and ends them at exit.

    Args:
        environment: the environment variables of all processes.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._running: set[ServerProcess] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(process.kill() for process in self._running))

    async def start(
        self, name: str, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> ServerProcess:
        """Starts a Python module as a process and waits until it listens.

        Args:
            name: for messages.
            *arguments: the module and its arguments.
            variables: additional environment variables.

        Raises:
            ProcessFailed: it ended or does not listen.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wsgw_drill.processes.end_with_parent",
            *arguments,
            env={**self._environment, **(variables or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        server = ServerProcess(name, process)
        self._running.add(server)
        try:
            await server.wait_until_listening()
        except BaseException:  # the caller has no reference to it
            await self.kill(server)
            raise
        return server

    async def kill(self, process: ServerProcess) -> None:
        """Kills a process with SIGKILL."""
        self._running.discard(process)
        await process.kill()

    async def stop(self, process: ServerProcess) -> None:
        """Ends a process with SIGTERM."""
        self._running.discard(process)
        await process.stop()
