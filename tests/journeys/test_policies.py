"""Policies that depend on the client, and policies of plugins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from websockets.asyncio.client import connect

from wsgw_core.api import (
    Candidate,
    ConfigurationError,
    DialRequest,
    Options,
    PluginContext,
    PolicyRegistry,
    hookimpl,
)

from .conftest import StartBackend, StartGateway
from .eventually import until
from .routed import own
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

BY_ROOM = {"kind": "hash", "key": "path.2"}


class Only(Options):
    backend: str


class OnlyPolicy:
    """Prefers one backend; raises an error for clients of one path."""

    opened: ClassVar[list[OnlyPolicy]] = []

    def __init__(self, options: Only, _context: PluginContext) -> None:
        self._backend = options.backend

    async def open(self) -> None:
        self.opened.append(self)

    async def close(self) -> None:
        self.opened.remove(self)

    def costs(self, client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        if client.path == "/fault":
            raise ValueError("asked for")
        return [float(each.id != self._backend) for each in backends]


@hookimpl
def wsgw_register_policies(registry: PolicyRegistry) -> None:
    registry.add("only", Only, OnlyPolicy)


PLUGIN = SimpleNamespace(WSGW_API="1.0", wsgw_register_policies=wsgw_register_policies)


def entries(*backends: ScriptedBackend) -> list[dict[str, Any]]:
    return [{"url": each.url, "id": f"b{number}"} for number, each in enumerate(backends)]


def accepted(*backends: ScriptedBackend) -> list[int]:
    return [each.accepted for each in backends]


async def test_clients_of_a_room_share_one_backend_through_any_gateway(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend() for _ in range(3)]
    gateways = [
        await start_gateway(upstream={"policy": BY_ROOM, "backends": order})
        for order in (entries(*backends), entries(*backends)[::-1])
    ]
    used = set()
    async with AsyncExitStack() as clients:
        for room in range(12):
            before = accepted(*backends)
            for gateway in gateways * 2:
                await clients.enter_async_context(connect(f"{gateway.url}/rooms/{room}"))
            got = [now - then for now, then in zip(accepted(*backends), before, strict=True)]
            assert sorted(got) == [0, 0, 4]
            used.add(got.index(4))
    assert len(used) > 1


async def test_room_moves_together_when_its_backend_dies(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend() for _ in range(3)]
    gateway = await start_gateway(upstream={"policy": BY_ROOM, "backends": entries(*backends)})
    async with AsyncExitStack() as clients:
        for _ in range(3):
            await clients.enter_async_context(connect(f"{gateway.url}/rooms/7"))
        home = next(each for each in backends if each.accepted)
        others = [each for each in backends if each is not home]

        await home.down()

        await until(lambda: sum(accepted(*others)) == 3)
        assert sorted(accepted(*others)) == [0, 3]


async def test_route_uses_its_own_policy_or_that_of_the_gateway(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    one, other, third, fourth = [await start_backend() for _ in range(4)]
    gateway = await start_gateway(
        upstream={"policy": BY_ROOM},
        routes=[
            own("rooms", one, other),
            own("turns", third, fourth, policy="round-robin"),
        ],
    )
    async with AsyncExitStack() as clients:
        for _ in range(4):
            await clients.enter_async_context(connect(f"{gateway.url}/rooms/7"))
            await clients.enter_async_context(connect(f"{gateway.url}/turns/7"))
    assert sorted(accepted(one, other)) == [0, 4]
    assert accepted(third, fourth) == [2, 2]


async def test_plugin_policy_decides_and_its_errors_refuse_no_client(
    start_gateway: StartGateway, start_backend: StartBackend, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await start_backend(), await start_backend()

    def preferring(backend: str) -> dict[str, Any]:
        policy = {"kind": "only", "backend": backend}
        return {"upstream": {"policy": policy, "backends": entries(one, other)}}

    gateway = await start_gateway(plugins=[PLUGIN], **preferring("b1"))
    for _ in range(3):
        async with connect(gateway.url):
            pass
    assert accepted(one, other) == [0, 3]
    for _ in range(4):
        async with connect(f"{gateway.url}/fault"):
            pass
    assert accepted(one, other) == [2, 5]
    assert gateway.count("policy_faults") == 4
    [error] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert error.getMessage().startswith("policy 'only' raised an error")
    caplog.clear()  # this error was expected
    [before] = OnlyPolicy.opened

    await gateway.reload(preferring("b0"))

    async with connect(gateway.url):
        assert accepted(one, other) == [3, 5]
    await until(lambda: before not in OnlyPolicy.opened)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"kind": "hash", "key": "room"}, "upstream.policy.key: found 'room': unknown field room"),
        ({"kind": "hash", "bound": 0.5}, "upstream.policy.bound: found 0.5"),
        ({"kind": "random-two", "key": "path"}, "upstream.policy.key: unknown key 'key'"),
        ("hasch", "upstream.policy.kind: no plugin registers policy kind 'hasch'; did you mean"),
    ],
)
async def test_invalid_policy_is_reported_with_its_place(
    start_gateway: StartGateway, policy: Any, problem: str
) -> None:
    backends = [{"url": "ws://127.0.0.1:1"}]
    with pytest.raises(ConfigurationError) as caught:
        await start_gateway(upstream={"policy": policy, "backends": backends})
    assert problem in str(caught.value)
