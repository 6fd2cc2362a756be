"""The addresses to which wsgw connects when clients choose the host."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wsgw_http.addresses import AddressPolicy, is_public

from wsgw_core.api import AddressInfo, BackendDeclined
from wsgw_core.testing.context import make_context

from .application import Application
from .conftest import StartGateway


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111"])
def test_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - the test connects to nothing
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%lo",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_reserved_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f000001"]
)
async def test_private_host_from_client_is_declined(
    application: Application, start_gateway: StartGateway, host: str
) -> None:
    gateway = await start_gateway(
        application, url=f"http://{{header.x-host}}:{application.port}/", id="any"
    )
    with pytest.raises(InvalidStatus) as caught:
        await connect(gateway.url, additional_headers={"X-Host": host})
    assert caught.value.response.status_code == 400
    assert not application.requests


async def test_name_of_private_address_is_declined(
    application: Application, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        return look_up("10.0.0.1" if host == "inner.test" else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    gateway = await start_gateway(
        application, url=f"http://{{header.x-host}}:{application.port}/", id="any"
    )
    with pytest.raises(InvalidStatus) as caught:
        await connect(gateway.url, additional_headers={"X-Host": "inner.test"})
    assert caught.value.response.status_code == 400
    assert caught.value.response.body == b"the host has no public address\n"


@pytest.mark.parametrize("port", ["its own", "0", "99999", "abc", "80@127.0.0.1", "-1", ""])
async def test_port_from_client_reaches_no_private_host(
    application: Application, start_gateway: StartGateway, port: str
) -> None:
    chosen = str(application.port) if port == "its own" else port
    gateway = await start_gateway(application, url="http://127.0.0.1:{header.x-port}/", id="any")
    with pytest.raises(InvalidStatus) as caught:
        await connect(gateway.url, additional_headers={"X-Port": chosen})
    assert caught.value.response.status_code == 400
    assert not application.requests


async def test_allow_private_admits_private_host_from_client(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        application,
        url=f"http://{{header.x-host}}:{application.port}/",
        **{"allow-private": True},
    )
    async with connect(gateway.url, additional_headers={"X-Host": "localhost"}):
        assert application.of("connect")


async def test_allow_private_false_forbids_private_fixed_host(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application, **{"allow-private": False})
    with pytest.raises(InvalidStatus) as caught:
        await connect(gateway.url)
    assert caught.value.response.status_code == 400
    assert not application.requests


class Names:
    """A resolver with fixed addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int) -> tuple[AddressInfo, ...]:
        return tuple(
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in self.addresses
        )


async def test_name_with_mixed_addresses_uses_only_public_ones() -> None:
    resolver = make_context().resolver
    names = Names("10.0.0.1", "1.1.1.1")
    resolver.resolve = names.resolve  # type: ignore[method-assign]  # replaces DNS
    policy = AddressPolicy(resolver, private_is_allowed=False)
    (found,) = await policy.resolve("mixed.example", 443)
    assert (found["host"], found["port"]) == ("1.1.1.1", 443)
    names.addresses = ("10.0.0.1",)
    with pytest.raises(BackendDeclined) as caught:
        await asyncio.wait_for(policy.check("mixed.example", 443), 60)
    assert caught.value.status == 400
