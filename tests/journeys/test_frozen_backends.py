"""A frozen backend accepts connections and never answers; no client waits for it for long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect

from .conftest import StartAdmin, StartGateway
from .eventually import until
from .server_process import ServerProcess

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

_LONG = "90s"  # longer than any of these journeys may take
_BOUND = 60.0


class Backends:
    """Echo backends as processes, each with its name as its id."""

    def __init__(self, processes: dict[str, ServerProcess]) -> None:
        self._processes = processes

    def freeze(self, name: str) -> None:
        self._processes[name].signal(signal.SIGSTOP)

    def kill(self, name: str) -> None:
        self._processes[name].kill()

    def entry(self, name: str, **options: Any) -> dict[str, Any]:
        url = f"ws://127.0.0.1:{self._processes[name].port}"
        return {"id": name, "url": url, "handshake-timeout": _LONG, **options}


@pytest.fixture
async def backends() -> AsyncIterator[Backends]:
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                ServerProcess("wsgw_drill.demo.echo_backend", "0", "--name", name)
            )
            for name in ("blue", "green", "red")
        }
        await asyncio.gather(*(process.start() for process in processes.values()))
        yield Backends(processes)


async def test_new_client_is_served_by_another_backend(
    backends: Backends, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        backends.entry("blue"),
        backends.entry("green", priority=2),
        failover={"dial-timeout": _LONG, "hedge-after": "100ms"},
    )
    backends.freeze("blue")
    for number in range(12):
        async with connect(gateway.url, open_timeout=_BOUND) as client:
            await client.send(f"{number}")
            assert await client.recv() == f"green {number}"
    assert gateway.count("dials_hedged") >= 10
    found = gateway.gateway.pool.find("blue")
    assert found is not None
    assert found.breaker.trips == 1
    assert found.total == 0


@pytest.mark.parametrize("known", [True, False])
async def test_session_fails_over_after_the_ping_timeout(
    backends: Backends, start_gateway: StartGateway, *, known: bool
) -> None:
    gateway = await start_gateway(
        backends.entry("blue"),
        backends.entry("green", priority=2),
        failover={"ping-timeout": "1s", "hedge-after": "100ms"},
    )
    async with connect(gateway.url) as client:
        if known:
            await client.send("before")
            assert await client.recv() == "blue before"
        backends.freeze("blue")
        begun = time.monotonic()
        await client.send("x")
        while (answer := await client.recv()) != "green x":
            assert answer == "green before"  # sent again
        assert 0.9 < time.monotonic() - begun < 10
    assert gateway.count("ws_busy_timeouts") == 0


async def test_idle_session_fails_over_after_the_ping_timeout(
    backends: Backends, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        backends.entry("blue", **{"ping-time": "100ms"}),
        backends.entry("green", priority=2),
        failover={"ping-timeout": "200ms"},
    )
    async with connect(gateway.url) as client:
        backends.freeze("blue")
        await until(lambda: gateway.count("failovers"))
        await client.send("x")
        assert await client.recv() == "green x"


async def test_health_probe_marks_a_frozen_backend_unhealthy(
    backends: Backends, start_gateway: StartGateway
) -> None:
    entries = [backends.entry(name) for name in ("blue", "green")]
    health = {"interval": "100ms", "timeout": "1s"}
    gateway = await start_gateway(upstream={"backends": entries, "health": health})
    blue, green = map(gateway.gateway.pool.find, ("blue", "green"))
    assert blue is not None
    assert green is not None
    backends.freeze("blue")
    await until(lambda: not blue.healthy)
    assert green.healthy


async def test_waiting_clients_move_on_when_the_backend_is_disabled(
    backends: Backends, start_gateway: StartGateway, start_admin: StartAdmin
) -> None:
    gateway = await start_gateway(
        backends.entry("blue"),
        backends.entry("green", priority=2),
        failover={"dial-timeout": _LONG, "hedge-after": 0},
    )
    operator = await start_admin(gateway)
    backends.freeze("blue")
    found = gateway.gateway.pool.find("blue")
    assert found is not None

    async def talk() -> str | bytes:
        async with connect(gateway.url, open_timeout=_BOUND) as client:
            await client.send("hello")
            return await client.recv()

    talks = [asyncio.create_task(talk()) for _ in range(3)]
    async with asyncio.timeout(_BOUND):
        while found.dialling < 3:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        await operator.post("/backend/disable/blue")
        assert await asyncio.gather(*talks) == ["green hello"] * 3
    assert gateway.count("dials_given_up") == 3
    assert found.failures == 0


async def test_failover_skips_a_frozen_backend(
    backends: Backends, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        backends.entry("blue"),
        backends.entry("green", priority=2),
        backends.entry("red", priority=3),
        failover={"dial-timeout": _LONG, "hedge-after": "100ms"},
    )
    async with asyncio.timeout(_BOUND), connect(gateway.url) as client:
        await client.send("1")
        assert await client.recv() == "blue 1"
        backends.freeze("green")
        backends.kill("blue")
        await client.send("2")
        while (answer := await client.recv()) != "red 2":
            assert answer == "red 1"  # sent again
