"""Servers as processes of their own, which can be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_LISTENING = re.compile(r"listening on \S+:(\d+)")
_TIMEOUT = 60.0
_FOREIGN_VARIABLES = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")


class ServerProcess:
    """A Python module that runs as a process and reports where it listens.

    It always ends with this process: a parent process of the module watches its stdin,
    and a process that is stopped by a signal gets SIGHUP when its group is orphaned. A ctrl-C does
    not reach it; whoever made it kills it.

    Args:
        module: what to run.
        arguments: for it.
        variables: for its environment.
        path: the folder of the test's modules.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        path: Path | None = None,
    ) -> None:
        inherited = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(_FOREIGN_VARIABLES)
        }
        self._environment = {
            **inherited,
            "PYTHONUNBUFFERED": "1",
            "ADM_ADDR": "127.0.0.1:0",
            **(variables or {}),
        }
        if path is not None:
            self._environment["PYTHONPATH"] = str(path)
        self._command = [
            sys.executable,
            "-m",
            "wsgw_drill.processes.end_with_parent",
            module,
            *arguments,
        ]
        self._process: subprocess.Popen[str] | None = None
        self._listening = threading.Event()
        self._reader: threading.Thread | None = None
        self.port = 0
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Self:
        """Start it, again if it has ended, and return when it listens."""
        self.end()
        self._listening.clear()
        self.lines = []
        self._process = subprocess.Popen(  # noqa: ASYNC220 - ends even if this loop does not run
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        listens = await asyncio.to_thread(self._listening.wait, _TIMEOUT)
        assert listens, "says nothing"
        assert self.port, "\n".join(self.lines)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once: SIGKILL."""
        self.signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait for its end and return its exit status."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait, _TIMEOUT)
        assert self._reader is not None
        await asyncio.to_thread(self._reader.join, _TIMEOUT)
        return status

    def end(self) -> None:
        """Kill it if it runs, and close its pipes."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join(_TIMEOUT)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
            if match := _LISTENING.search(line):
                self.port = int(match[1])
                self._listening.set()
        self._listening.set()
