"""Which backend a session gets: round robin, least connections, priorities."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect

from .conftest import StartBackend, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def upstream(*backends: ScriptedBackend, policy: str = "round-robin") -> dict[str, object]:
    return {
        "policy": policy,
        "backends": [
            {"url": each.url, "priority": number} for number, each in enumerate(backends, 1)
        ],
    }


async def test_round_robin_shares_sessions_equally(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend() for _ in range(3)]
    gateway = await start_gateway(*backends)

    for _ in range(6):
        async with connect(gateway.url):
            pass

    assert [backend.accepted for backend in backends] == [2, 2, 2]


async def test_weight_sets_the_share_of_sessions_and_a_reload_changes_it(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()

    def weighed(policy: str, weight: int) -> dict[str, Any]:
        entries = [{"url": blue.url, "weight": weight}, {"url": green.url}]
        return {"upstream": {"policy": policy, "backends": entries}}

    gateway = await start_gateway(**weighed("round-robin", 3))
    for _ in range(8):
        async with connect(gateway.url):
            pass
    assert (blue.accepted, green.accepted) == (6, 2)

    await gateway.reload(weighed("least-connections", 2))
    async with AsyncExitStack() as clients:
        for _ in range(6):
            await clients.enter_async_context(connect(gateway.url))
        assert (blue.accepted, green.accepted) == (6 + 4, 2 + 2)


async def test_least_connections_picks_the_backend_with_fewest(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    entries = [{"url": each.url} for each in (blue, green)]
    gateway = await start_gateway(upstream={"policy": "least-connections", "backends": entries})
    async with AsyncExitStack() as clients:
        for _ in range(8):
            await clients.enter_async_context(connect(gateway.url))
        assert (blue.accepted, green.accepted) == (4, 4)
        for _ in range(4):
            await (await blue.connection()).close()
        await until(lambda: not gateway.gateway.pool.backends[0].active)

        for _ in range(4):
            await clients.enter_async_context(connect(gateway.url))

        assert (blue.accepted, green.accepted) == (8, 4)


async def test_higher_priority_number_serves_only_while_lower_ones_are_down(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(upstream=upstream(blue, green), drain={"quiet": "50ms"})
    async with connect(gateway.url) as client, connect(gateway.url):
        await blue.connection()
        await blue.connection()

        await blue.down()

        moved = await green.connection()
        await client.send("to green")
        await green.connection()
        await blue.up()
        async with connect(gateway.url):
            await blue.connection()
        await client.send("still there")
        assert moved.close_code is None

        gateway.gateway.drain(green.id)

        back = await blue.connection()
        await blue.connection()
        assert back.close_code is None
    assert green.accepted == 2
