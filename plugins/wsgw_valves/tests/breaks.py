"""Two servers behind a gateway with a valve; a test kills, freezes and drains the one that serves.

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

PATIENCE = 60.0
IDS = ("blue", "green")
# The shell is the leader of a process group. It ends the group with this process, whatever happens
# to that, and ends itself with the server.
_TOGETHER = '{ "$@"; kill -9 0; } </dev/null & read -r _; kill -9 0'
# Systems give higher ports to outgoing connections.
_PORTS = range(20_000, 32_000)


class Server(Protocol):
    """What is broken; also an asynchronous context manager, in whose block it serves.

    Attributes:
        port: where it listens, on 127.0.0.1; the same after each start.
    """

    port: int

    async def start(self) -> None:
        """Serve again after `kill`; returns when it listens."""
        ...

    async def kill(self) -> None:
        """Lose all connections, and listen no more."""
        ...

    def freeze(self) -> None:
        """Do nothing until `thaw`, with connections as they are."""
        ...

    def thaw(self) -> None:
        """Go on."""
        ...


class ServerProcess:
    """A server that is started by a command, with all processes that it starts itself.

    Args:
        *command: program and arguments; `{port}` in them stands for the port.
        variables: environment variables besides those of this process.
    """

    def __init__(self, *command: str, variables: Mapping[str, str] | None = None) -> None:
        self.port = _free_port()
        self._command = [each.replace("{port}", str(self.port)) for each in command]
        self._variables = {**os.environ, **(variables or {})}
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """See Server. What the command says is in the report of a test that fails."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - uvloop's have no process_group
            ["/bin/sh", "-c", _TOGETHER, "sh", *self._command],
            env=self._variables,
            stdin=subprocess.PIPE,
            process_group=0,
        )
        async with asyncio.timeout(PATIENCE):
            while not await _listens(self.port):
                assert self._process.poll() is None, f"{self._command} has ended"
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """See Server: SIGKILL, to the whole group."""
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
    """Ways to break the server that serves; each of them returns when no session is left there.

    They are context managers: at the end of the block the server serves again.

    Args:
        gateway: in front of them.
        servers: by the ids of their backends.
    """

    def __init__(self, gateway: RunningGateway, servers: Mapping[str, Server]) -> None:
        self.gateway = gateway
        self.servers = servers
        self.url = gateway.url

    @property
    def serving(self) -> str | None:
        """The backend of the session that is there for longest; None while it has none."""
        return next((each.backend_id for each in self.gateway.gateway.sessions), None)

    @property
    def failovers(self) -> int:
        """How often sessions have lost their backend."""
        return self.gateway.count("failovers")

    @property
    def moves(self) -> int:
        """How often they have left it as planned."""
        return self.gateway.count("moves")

    @asynccontextmanager
    async def kill(self) -> AsyncIterator[None]:
        """SIGKILL; at the end of the block it is started again."""
        victim = await self._victim()
        await self.servers[victim].kill()
        await self._left(victim)
        yield
        await self.servers[victim].start()

    @asynccontextmanager
    async def freeze(self) -> AsyncIterator[None]:
        """SIGSTOP; at the end of the block it goes on."""
        victim = await self._victim()
        self.servers[victim].freeze()
        try:
            await self._left(victim)
            yield
        finally:
            self.servers[victim].thaw()

    @asynccontextmanager
    async def drain(self) -> AsyncIterator[None]:
        """As an operator does it; at the end of the block it is enabled."""
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
        """Break servers in turn.

        Args:
            progress: awaited before the first break, and in and after each; returns when the test's
                clients were served, and raises if they were not.
            kills, freezes, drains: how often.
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
        """Return when every session is served elsewhere."""
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
    """Run two servers, and a gateway that notices within a second or two what happens to them.

    Args:
        servers: two.
        valves: entries of `valves`, as in a file.
        path: of the backends' URLs; none: the client's.
        upstream: more for this section of the gateway's configuration.
        sections: of the gateway's configuration, beside `upstream`.
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
    """Wait until the condition holds; an assertion fails when it does not in a long time."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not so after {PATIENCE:g} s: {what}") from None


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _free_port() -> int:
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
