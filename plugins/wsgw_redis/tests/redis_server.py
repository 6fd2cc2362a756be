"""A redis-server for one test, which the test can kill, freeze and start again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

TIMEOUT = 60.0
# Systems use higher ports for outgoing connections and for servers without a port.
_PORTS = range(20_000, 32_000)
# The shell kills the server at the end of its stdin, that is, when this process ends.
_WITH_US = '"$@" >/dev/null 2>&1 & echo $!; cat >/dev/null; kill -KILL $!'


class RedisServer:
    """One server at a free port of 127.0.0.1; each write is on disk before the reply.

    Args:
        folder: for its files, which survive a kill.
        *options: as on the command line, such as `--maxmemory`, `1mb`.
        sentinel: whether it is a Sentinel.
    """

    def __init__(self, folder: Path, *options: str, sentinel: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._sentinel = sentinel
        self._pid = 0
        self._shell: subprocess.Popen[str] | None = None
        self._client: Redis | None = None

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        """A client for the test."""
        if self._client is None:
            self._client = Redis(
                port=self.port, protocol=2, socket_timeout=None, max_connections=1000
            )
        return self._client

    async def start(self) -> None:
        """Starts the server, also after a kill, and waits until it answers."""
        await asyncio.to_thread(self._launch)
        await self.until_answering()

    async def until_answering(self, **login: Any) -> None:
        """Waits until the server answers commands."""
        async with asyncio.timeout(TIMEOUT), Redis(port=self.port, protocol=2, **login) as client:
            while True:
                try:
                    await client.ping()
                except (RedisError, OSError) as error:
                    if "NOAUTH" in str(error) or "Authentication" in str(error):
                        return
                    await asyncio.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        """Kills the server, like a crash."""
        shell, self._shell = self._shell, None
        if shell is not None:
            os.kill(self._pid, signal.SIGKILL)
            assert shell.stdin is not None
            assert shell.stdout is not None
            shell.stdin.close()
            shell.stdout.close()
            shell.wait()

    def freeze(self) -> None:
        """Freezes the server: it neither reads nor writes."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Ends a freeze."""
        os.kill(self._pid, signal.SIGCONT)

    async def stop(self) -> None:
        """Stops the server at the end of the test."""
        self.kill()
        if self._client is not None:
            await self._client.aclose()

    def _launch(self) -> None:
        options: tuple[str, ...] = (
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
        )
        if self._sentinel:
            settings = self.folder / "sentinel.conf"
            settings.write_text("\n".join(self._options) + "\n")
            options = (str(settings), "--sentinel", *options[:4])
        else:
            options += ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
            options += self._options
        self._shell = subprocess.Popen(
            ["sh", "-c", _WITH_US, "sh", binary(), *options],  # noqa: S607 - found on the path
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert self._shell.stdout is not None
        self._pid = int(self._shell.stdout.readline())


def binary() -> str:
    """Returns the path of redis-server; installs it if it is missing and that is possible."""
    if shutil.which("redis-server") is None and os.environ.get("WSGW_TEST_SKIP_SERVICES") == "1":
        pytest.skip("redis-server is not installed")
    if shutil.which("redis-server") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "redis-server"]
        subprocess.run(command, capture_output=True, check=False)
    found = shutil.which("redis-server")
    if found is None:
        pytest.fail("redis-server is not installed; WSGW_TEST_SKIP_SERVICES=1 leaves its tests out")
    return found


def free_port() -> int:
    """Returns a free port."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
