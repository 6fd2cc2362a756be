"""Two servers behind a gateway with a valve; kills, freezes and drains the serving one.

command = ("node", "server.js", "{port}")
async with broken_servers([ServerProcess(*command), ServerProcess(*command)], valve) as breaks:
    async with connect(breaks.url) as client:
        async with breaks.kill():
            ...  # the other server has the session, the killed one is down
        ...  # the killed one is back
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, Self

from wsgw_valves import plugin

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

TIMEOUT = 60.0
IDS = ("blue", "green")
# The shell leads a process group. It kills the group when this process ends, and ends itself when
# the server ends.
_TOGETHER = '{ "$@"; kill -9 0; } </dev/null & read -r _; kill -9 0'
# Systems use higher ports for outgoing connections.
_PORTS = range(20_000, 32_000)


class Server(Protocol):
    """A server to break. It is an asynchronous context manager, and serves in its block.

    Attributes:
        port: on 127.0.0.1; the same after each start.
    """

    port: int

    async def start(self) -> None:
        """Starts the server, also after `kill`, and waits until it listens."""

    async def kill(self) -> None:
        """Drops all connections and stops listening."""

    def freeze(self) -> None:
        """Freezes the server until `thaw`; connections stay open."""

    def thaw(self) -> None:
        """Ends a freeze."""


class ServerProcess:
    """A server that a command starts, with all its child processes.

    Args:
        *command: program and arguments; `{port}` is replaced by the port.
        variables: environment variables besides those of this process.
        patience: seconds until it listens.
    """

    def __init__(
        self,
        *command: str,
        variables: Mapping[str, str] | None = None,
        patience: float = TIMEOUT,
    ) -> None:
        self.port = free_port()
        self._patience = patience
        self._command = [each.replace("{port}", str(self.port)) for each in command]
        self._variables = {**os.environ, **(variables or {})}
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """See Server. The command's output is in the report of a failed test."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - uvloop's have no process_group
            ["/bin/sh", "-c", _TOGETHER, "sh", *self._command],
            env=self._variables,
            stdin=subprocess.PIPE,
            process_group=0,
        )
        async with asyncio.timeout(self._patience):
            while not await _listens(self.port):
                assert self._process.poll() is None, f"{self._command} has ended"
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """See Server: SIGKILL for the whole group."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        with self._process:  # waits, and closes its pipe
            pass

    def freeze(self) -> None:
        """See Server: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """See Server: SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


class Breaks:
    """Ways to break the serving server; each waits until no session is left there.

    Each is a context manager; at the end of the block the server serves again.

    Args:
        gateway: in front of the servers.
        servers: by the ids of their backends.
    """

    def __init__(self, gateway: RunningGateway, servers: Mapping[str, Server]) -> None:
        self.gateway = gateway
        self.servers = servers
        self.url = gateway.url

    @property
    def serving(self) -> str | None:
        """The backend of the oldest session; None while it has none."""
        return next((each.backend_id for each in self.gateway.gateway.sessions), None)

    @property
    def failovers(self) -> int:
        """The number of failovers of all sessions."""
        return self.gateway.count("failovers")

    @property
    def moves(self) -> int:
        """The number of planned moves of all sessions."""
        return self.gateway.count("moves")

    @asynccontextmanager
    async def kill(self) -> AsyncIterator[None]:
        """Kills the server; starts it again at the end of the block."""
        victim = await self._victim()
        await self.servers[victim].kill()
        await self._left(victim)
        yield
        await self.servers[victim].start()

    @asynccontextmanager
    async def freeze(self) -> AsyncIterator[None]:
        """Freezes the server; resumes it at the end of the block."""
        victim = await self._victim()
        self.servers[victim].freeze()
        try:
            await self._left(victim)
            yield
        finally:
            self.servers[victim].thaw()

    @asynccontextmanager
    async def drain(self) -> AsyncIterator[None]:
        """Drains the backend; enables it at the end of the block."""
        victim = await self._victim()
        self.gateway.gateway.drain(victim)
        await self._left(victim)
        yield
        upstream = self.gateway.gateway.upstream
        upstream.enable(
            next(each for each in self.gateway.gateway.pool.backends if each.id == victim)
        )

    async def all(
        self,
        progress: Callable[[], Awaitable[object]],
        kills: int = 1,
        freezes: int = 1,
        drains: int = 1,
    ) -> None:
        """Breaks servers in turn.

        Args:
            progress: awaited before the first break, and in and after each; returns when the test's
                clients were served, and raises if they were not.
            kills, freezes, drains: number of each.
        """
        await progress()
        for way in [self.kill] * kills + [self.freeze] * freezes + [self.drain] * drains:
            async with way():
                await progress()
            await progress()

    async def _victim(self) -> str:
        await until(lambda: self.serving is not None, "a session is served")
        victim = self.serving
        assert victim is not None
        return victim

    async def _left(self, victim: str) -> None:
        """Waits until all sessions are served elsewhere."""
        await until(
            lambda: all(
                session.backend_id not in (None, victim)
                for session in self.gateway.gateway.sessions
            ),
            f"no session is left at {victim}",
        )


@asynccontextmanager
async def broken_servers(
    servers: Sequence[AbstractAsyncContextManager[Server]],
    *valves: Mapping[str, Any],
    path: str = "",
    upstream: Mapping[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[Breaks]:
    """Runs two servers, and a gateway that notices their failures within two seconds.

    Args:
        servers: two servers.
        valves: entries of `valves`, as in a configuration file.
        path: of the backends' URLs; none: the client's.
        upstream: further options of this section.
        sections: further sections of the configuration.
    """
    async with AsyncExitStack() as running:
        entered = await asyncio.gather(*(running.enter_async_context(each) for each in servers))
        backends = [
            {"id": name, "url": f"ws://127.0.0.1:{server.port}{path}", "ping-time": "1s"}
            for name, server in zip(IDS, entered, strict=True)
        ]
        data = {
            "upstream": {"backends": backends, **(upstream or {})},
            "valves": valves,
            "failover": {"ping-timeout": "1s"},
            "drain": {"quiet": "20ms", "patience": "1s", "rate": 1000},
            **sections,
        }
        gateway = await running.enter_async_context(running_gateway(data, [plugin]))
        yield Breaks(gateway, dict(zip(IDS, entered, strict=True)))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds; fails after a long time."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while not condition():  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not so after {TIMEOUT:g} s: {what}") from None


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    """Return a port on which nobody listens."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
