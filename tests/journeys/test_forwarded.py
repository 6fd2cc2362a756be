"""Forwarding headers that describe the client, and allowed origins."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request

from wsgw_core.api import GateRegistry, Handshake, Options, hookimpl
from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway
from .raw_client import raw_client, request
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

THEIRS = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: outside.example",
    "X-Real-IP: 203.0.113.9",
    "Forwarded: for=203.0.113.9;proto=https",
)
TOLD = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded")


async def backend_sees(
    gateway: RunningGateway, backend: ScriptedBackend, *fields: str
) -> dict[str, list[str]]:
    """Return the values of the headers that describe the client."""
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request(*fields))
        assert (await client.answer()).status == 101
        seen = (await backend.connection()).request
    assert isinstance(seen, Request)
    return {name: values for name in TOLD if (values := seen.headers.get_all(name))}


@pytest.mark.parametrize(
    ("server", "chain"),
    [
        ({}, "203.0.113.9, 127.0.0.1"),
        ({"trust-received-xff": True}, "203.0.113.9, 127.0.0.1"),
        ({"trust-received-xff": False}, "127.0.0.1"),
        ({"trusted-proxies": []}, "127.0.0.1"),
        ({"trusted-proxies": ["192.0.2.0/24"], "trust-received-xff": True}, "127.0.0.1"),
    ],
)
async def test_headers_of_an_untrusted_client_are_replaced(
    start_gateway: StartGateway, backend: ScriptedBackend, server: Mapping[str, Any], chain: str
) -> None:
    gateway = await start_gateway(backend, server=server)

    assert await backend_sees(gateway, backend, *THEIRS) == {
        "X-Forwarded-For": [chain],
        "X-Forwarded-Proto": ["http"],
        "X-Forwarded-Host": ["gateway.example"],
    }


async def test_headers_of_a_trusted_proxy_are_passed_on(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    server = {"trusted-proxies": ["127.0.0.0/8"], "trust-received-xff": False}
    gateway = await start_gateway(backend, server=server)

    assert await backend_sees(gateway, backend, *THEIRS) == {
        "X-Forwarded-For": ["203.0.113.9, 127.0.0.1"],
        "X-Forwarded-Proto": ["https"],
        "X-Forwarded-Host": ["outside.example"],
        "X-Real-IP": ["203.0.113.9"],
        "Forwarded": ["for=203.0.113.9;proto=https"],
    }


@pytest.mark.parametrize(
    ("trusted", "wanted"),
    [
        ([], "for=127.0.0.1;host=gateway.example;proto=http"),
        (
            ["127.0.0.1"],
            "for=203.0.113.9;proto=https, for=127.0.0.1;host=gateway.example;proto=http",
        ),
    ],
)
async def test_forwarded_header_is_sent_when_enabled(
    start_gateway: StartGateway, backend: ScriptedBackend, trusted: list[str], wanted: str
) -> None:
    server = {"trusted-proxies": trusted, "forwarded": True}
    gateway = await start_gateway(backend, server=server)

    assert (await backend_sees(gateway, backend, *THEIRS))["Forwarded"] == [wanted]


async def test_blocked_forwarding_headers_are_not_sent(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    server = {"block-headers": [*TOLD], "forwarded": True, "trusted-proxies": ["127.0.0.1"]}
    gateway = await start_gateway(backend, server=server)

    assert await backend_sees(gateway, backend, *THEIRS) == {}


class Guestbook:
    """A plugin whose gate records the peer of each client."""

    WSGW_API = "1.0"

    def __init__(self) -> None:
        self.peers: list[str] = []

    @hookimpl
    def wsgw_register_gates(self, registry: GateRegistry) -> None:
        registry.add("guestbook", Options, lambda *_: SimpleNamespace(admit=self._admit))

    def _admit(self, handshake: Handshake) -> None:
        self.peers.append(handshake.peer)


@pytest.mark.parametrize(
    ("trusted", "chain", "wanted"),
    [
        ([], "203.0.113.9", "127.0.0.1:"),
        (["127.0.0.1"], "203.0.113.9", "203.0.113.9"),
        (["127.0.0.1", "192.0.2.0/24"], "1.2.3.4, 203.0.113.9, 192.0.2.3", "203.0.113.9"),
        (["127.0.0.1"], "nonsense", "127.0.0.1:"),
    ],
)
async def test_gate_sees_the_client_behind_trusted_proxies(
    start_gateway: StartGateway,
    backend: ScriptedBackend,
    trusted: list[str],
    chain: str,
    wanted: str,
) -> None:
    guestbook = Guestbook()
    gateway = await start_gateway(
        backend,
        plugins=[guestbook],
        server={"trusted-proxies": trusted},
        gates=[{"kind": "guestbook"}],
    )

    await backend_sees(gateway, backend, f"X-Forwarded-For: {chain}")

    (peer,) = guestbook.peers
    assert peer.startswith(wanted) if wanted.endswith(":") else peer == wanted


class TestOrigins:
    @pytest.fixture
    async def careful(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> RunningGateway:
        origins = ["https://app.example", "https://*.sites.example"]
        frontend = {"address": "127.0.0.1:0", "allowed-origins": origins}
        return await start_gateway(backend, server={"frontend": frontend})

    @pytest.mark.parametrize("origin", ["https://APP.example:443", "https://a.sites.example"])
    async def test_allowed_origin_connects_and_reaches_the_backend(
        self, careful: RunningGateway, backend: ScriptedBackend, origin: str
    ) -> None:
        async with connect(careful.url, origin=origin):  # type: ignore[arg-type]  # a plain string does
            seen = (await backend.connection()).request
        assert seen is not None
        assert seen.headers["Origin"] == origin

    @pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example", "null", ""])
    async def test_other_origin_is_answered_403(
        self, careful: RunningGateway, backend: ScriptedBackend, origin: str
    ) -> None:
        async with raw_client(careful.host, careful.port) as client:
            client.write(request(f"Origin: {origin}"))
            answer = await client.answer()
        assert answer.status == 403
        assert answer.values("Connection") == ["close"]
        assert careful.count("origins_refused") == 1
        assert backend.accepted == 0

    async def test_client_libraries_report_the_403(self, careful: RunningGateway) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(careful.url, origin="https://evil.example"):  # type: ignore[arg-type]  # a plain string does
                pass
        async with ClientSession() as session:
            with pytest.raises(WSServerHandshakeError) as refused_too:
                await session.ws_connect(careful.url, origin="https://evil.example")
        assert (refused.value.response.status_code, refused_too.value.status) == (403, 403)

    async def test_client_without_origin_connects(
        self, careful: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with connect(careful.url):
            await backend.connection()

    async def test_any_origin_connects_when_no_list_is_configured(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with connect(gateway.url, origin="https://evil.example"):  # type: ignore[arg-type]  # a plain string does
            await backend.connection()
