"""Listen addresses, and several gateways in one process."""

from __future__ import annotations

import socket

import pytest
from websockets.asyncio.client import connect

from .conftest import StartBackend, StartGateway
from .scripted_backend import ScriptedBackend


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6_works(), reason="this machine has no IPv6")


async def is_reached(url: str, backend: ScriptedBackend) -> bool:
    async with connect(url) as client:
        served = await backend.connection()
        await client.send("there")
        return await served.recv() == "there"


async def test_gateway_serves_on_an_ipv4_address(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, address="127.0.0.1:0")

    [address] = gateway.gateway.addresses
    assert address.host == "127.0.0.1"
    assert address.port > 0
    assert await is_reached(gateway.url, backend)


@needs_ipv6
async def test_gateway_serves_on_an_ipv6_address(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, address="[::1]:0", host="::1")

    assert str(gateway.gateway.addresses[0]) == f"[::1]:{gateway.port}"
    async with connect(gateway.url) as client:
        served = await backend.connection()
        assert served.request is not None
        assert served.request.headers["X-Forwarded-For"] == "::1"
        await client.send("there")
        assert await served.recv() == "there"


@needs_ipv6
async def test_gateway_connects_to_a_backend_with_an_ipv6_address(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backend = await start_backend(host="::1")
    gateway = await start_gateway({"url": backend.url, "id": "six"})

    assert await is_reached(gateway.url, backend)


@needs_ipv6
async def test_address_without_host_listens_on_ipv4_and_ipv6_on_one_port(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, address=":0")

    assert await is_reached(f"ws://127.0.0.1:{gateway.port}", backend)
    assert await is_reached(f"ws://[::1]:{gateway.port}", backend)


async def test_two_gateways_in_one_process_share_nothing(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    one, other = await start_backend(), await start_backend()
    first = await start_gateway(one, server={"reconnect-header": "X-First"})
    second = await start_gateway(other, failover={"enabled": False})

    async with connect(first.url) as client, connect(second.url) as other_client:
        served, other_served = await one.connection(), await other.connection()
        await client.send("to the first")
        await other_client.send("to the second")
        assert await served.recv() == "to the first"
        assert await other_served.recv() == "to the second"
        assert len(first.gateway.sessions) == 1
        assert len(second.gateway.sessions) == 1

        await second.gateway.stop()
        await other_client.wait_closed()
        assert other_client.close_code == 1012

        await served.close(1011)
        moved = await one.connection()
        assert moved.request is not None
        assert moved.request.headers["X-First"] == "1"
        await client.send("still there")
        assert await moved.recv() in ("to the first", "still there")

    assert first.count("failovers") == 1
    assert second.count("failovers") == 0
