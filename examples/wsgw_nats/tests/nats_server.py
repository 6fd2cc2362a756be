"""A nats-server with JetStream, which the test can kill, freeze and start again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

_TIMEOUT = 60.0
# Systems use higher ports for outgoing connections and for servers without a port.
_LOWEST, _HIGHEST = 20_000, 32_000


class NatsServer:
    """One server at a free port of 127.0.0.1; its streams survive a kill.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Starts the server, also after a kill, and waits until it answers."""
        settings = ("-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self._folder))
        self._process = subprocess.Popen(  # noqa: ASYNC220 - see `_ending_with_us`
            [*_ending_with_us(), _binary(), *settings, "-l", str(self._folder / "log")],
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        async with asyncio.timeout(_TIMEOUT):
            while not await self._serves():  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)

    def freeze(self) -> None:
        """Freezes the server: it neither reads nor writes."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        os.waitpid(self._process.pid, os.WUNTRACED)  # until all of its threads have stopped

    def thaw(self) -> None:
        """Ends a freeze."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kills the server, like a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _serves(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            return (await reader.readline()).startswith(b"INFO ")
        except OSError:
            return False
        finally:
            writer.transport.abort()


def _ending_with_us() -> tuple[str, ...]:
    """Returns a command prefix that kills the server when this process ends."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


def _binary() -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which("nats-server", path=path)
    if found is not None:
        return found
    if os.environ.get("WSGW_TEST_SKIP_SERVICES") == "1":
        pytest.skip("nats-server is not installed, and may be left out")
    pytest.fail("nats-server is not installed: install it, or set WSGW_TEST_SKIP_SERVICES=1")


def _free_port() -> int:
    while True:
        port = random.SystemRandom().randint(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
