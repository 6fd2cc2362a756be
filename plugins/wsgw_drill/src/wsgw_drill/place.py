"""A backend of the drill: its address, and the processes that run there."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from wsgw_core.api import PlayedBackend

from .processes.server_process import Processes, ServerProcess
from .tcp_proxy import TcpProxy


class AddressTaken(Exception):
    """The drill cannot run a backend at its address; the text says why."""


class Place:
    """One backend; its address and log stay the same when its process is replaced.

    Args:
        name: without spaces.
        host, port: where the gateway dials; port 0: any free port, kept from now on.
        played: how to run the backend.
        processes: starts its processes.
        log: the file to which all its processes write.
        compress: whether it accepts permessage-deflate.

    Raises:
        AddressTaken: the address is in use, or not of this machine.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        played: PlayedBackend,
        processes: Processes,
        log: Path,
        compress: bool = False,
    ) -> None:
        self.name = name
        self.host = host
        self.log = log
        self.proxy: TcpProxy | None = None
        self._played = played
        self._processes = processes
        self._process: ServerProcess | None = None
        self._always = ("--compress",) if compress else ()
        self._reserved = _reserve(host, port)
        self.port: int = self._reserved.getsockname()[1]

    @property
    def url(self) -> str:
        """The URL for the gateway's configuration."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self._played.url.format(address=f"{host}:{self.port}")

    @property
    def alive(self) -> bool:
        """Whether its process runs, frozen or not."""
        return self._process is not None and self._process.status is None

    @property
    def logged(self) -> int:
        """The bytes in its log, which grows while it serves."""
        return self.log.stat().st_size if self.log.exists() else 0

    def begins_to_log(self, much: int = 0) -> Callable[[], bool]:
        """Returns a function: whether the log has grown by more than `much` bytes since now."""
        before = self.logged
        return lambda: self.logged > before + much

    def close(self) -> None:
        """Releases the port."""
        self._reserved.close()

    async def open(self, *, proxied: bool) -> None:
        """Prepares a round with an empty log and no data, with or without a proxy."""
        self.log.unlink(missing_ok=True)
        shutil.rmtree(f"{self.log}.data", ignore_errors=True)
        if proxied:
            self.proxy = TcpProxy()
            await self.proxy.listen(self.host, self.port)

    async def clear(self) -> None:
        """Ends the backend and its proxy."""
        await self.kill()
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None

    async def start(self, *options: str) -> None:
        """Starts the backend, after killing a running process.

        Args:
            *options: of the backend's process.

        Raises:
            ProcessFailed: the process does not listen.
        """
        await self.kill()
        host, port = ("127.0.0.1", 0) if self.proxy else (self.host, self.port)
        self._process = await self._processes.start(
            f"backend {self.name}",
            self._played.module,
            self.name,
            host,
            str(port),
            str(self.log),
            *self._always,
            *options,
        )
        if self.proxy:
            self.proxy.target = ("127.0.0.1", self._process.port)

    async def kill(self) -> None:
        """Kills the backend with SIGKILL, if it runs."""
        if self._process is not None:
            process, self._process = self._process, None
            await self._processes.kill(process)

    async def terminate(self) -> None:
        """Ends the backend with SIGTERM; it closes its connections with 1001."""
        if self._process is not None:
            process, self._process = self._process, None
            await self._processes.stop(process)

    def freeze(self) -> None:
        """Freezes the backend with SIGSTOP."""
        if self._process is not None:
            self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes the backend with SIGCONT."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)

    def end_at_a_close(self) -> None:
        """Makes the backend end, as at SIGTERM, when the first of its connections closes."""
        if self._process is not None:
            self._process.signal(signal.SIGUSR1)

    async def died(self) -> None:
        """Waits until the backend has ended by itself."""
        if self._process is not None:
            await self._process.ended()


def _reserve(host: str, port: int) -> socket.socket:
    """Binds a socket that never listens, to keep the port; connections are refused."""
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), timeout=1).close()
        raise AddressTaken(f"{host}:{port} is in use: something listens there")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        reserved = socket.socket(family, socket.SOCK_STREAM)
        try:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind(address)
        except OSError:
            reserved.close()
            raise
    except OSError as error:
        raise AddressTaken(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return reserved
