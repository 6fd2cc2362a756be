"""Each client is served by the first route that matches it."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .conftest import StartAdmin, StartBackend, StartGateway
from .routed import own, shared, status
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

GUIDE = Path(__file__).parents[2] / "docs/how-to/route.md"


class TestChoice:
    async def test_route_is_chosen_by_path(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(routes=[own("blue", blue), own("green", green)], upstream={})
        for target in ("/blue", "/blue/room/1?x=/green", "/%62lue/x"):
            async with connect(gateway.url + target):
                served = await blue.connection()
                assert served.request is not None
                assert served.request.path == target
        async with connect(gateway.url + "/green/1"):
            await green.connection()
        assert (blue.accepted, green.accepted) == (3, 1)

    async def test_route_is_chosen_by_host(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            routes=[
                own("blue", blue, paths=[], hosts=["chat.example.com"]),
                own("green", green, paths=[], hosts=["*.example.com", "[::1]"]),
            ],
            upstream={},
        )
        where: dict[str, Any] = {"host": "127.0.0.1", "port": gateway.port}
        for host, backend in {
            "Chat.Example.com": blue,
            "other.example.com": green,
            "a.b.example.com.": green,
            "[0::1]": green,
        }.items():
            async with connect(f"ws://{host}:1234/", **where):
                await backend.connection()
        assert await status(gateway, "/") == HTTPStatus.NOT_FOUND

    async def test_route_is_chosen_by_the_headers_the_client_sent(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            routes=[
                own("blue", blue, paths=[], headers={"X-Tenant": "blue", "X-Secret": "*"}),
                own("green", green, paths=[], headers={"X-Tenant": "green"}),
            ],
            upstream={},
            server={"block-headers": ["X-Secret"], "frontend": {"address": "127.0.0.1:0"}},
        )
        sent = {"x-tenant": "blue", "X-Secret": "hush"}
        async with connect(gateway.url, additional_headers=sent):
            served = await blue.connection()
            assert served.request is not None
            assert "X-Secret" not in served.request.headers
        async with connect(gateway.url, additional_headers={"X-Tenant": "green"}):
            await green.connection()
        assert await status(gateway, "/", additional_headers={"X-Tenant": "blue"}) == 404

    async def test_first_matching_route_serves_the_client(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        rest = {"id": "rest"}
        gateway = await start_gateway(green, routes=[own("blue", blue), rest])
        async with connect(gateway.url + "/blue/x"):
            await blue.connection()
        async with connect(gateway.url + "/other"):
            await green.connection()

    async def test_request_without_a_route_is_answered_404_and_counted(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(blue, routes=[shared("blue")])
        operator = await start_admin(gateway)
        assert await status(gateway, "/green") == 404
        assert await status(gateway, "/bluer") == 404
        async with connect(gateway.url + "/blue/1"):
            await blue.connection()
            text = (await operator.call("GET", "/metrics")).text
        for line in (
            'wsgw_handshakes_total{status="404"} 2.0',
            "wsgw_handshakes_unrouted_total 2.0",
            'wsgw_route_handshakes_total{route="blue"} 1.0',
            'wsgw_route_sessions{route="blue"} 1.0',
            'wsgw_route_served{route="blue"} 1.0',
        ):
            assert line in text.splitlines()
        assert blue.accepted == 1

    async def test_any_path_is_served_when_no_routes_are_configured(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(blue, routes=[])
        operator = await start_admin(gateway)
        async with connect(gateway.url + "/any"):
            text = (await operator.call("GET", "/metrics")).text
        assert "wsgw_route_sessions{" not in text
        assert gateway.count("handshakes_unrouted") == 0


async def test_configuration_of_the_guide_works_as_described(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    shown = GUIDE.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    data = yaml.safe_load(shown)
    backends = {}
    for group in (data["upstream"], *data["routes"]):
        for entry in group.get("backends", ()):
            backends[entry["id"]] = await start_backend()
            entry["url"] = backends[entry["id"]].url
    gateway = await start_gateway(**data)

    async with connect(gateway.url + "/ocpp/CP1") as charger:
        await backends["csms-1"].connection()
        await backends["csms-1"].down()
        with pytest.raises(ConnectionClosed):
            await charger.recv()
    async with connect(gateway.url + "/ocpp/CP1"):
        await backends["csms-2"].connection()
    at: dict[str, Any] = {"host": "127.0.0.1", "port": gateway.port}
    async with connect("ws://app.example.com/", **at), connect("ws://eu.app.example.com", **at):
        await backends["web-1"].connection()
        await backends["web-2"].connection()
    async with connect(gateway.url, additional_headers={"X-Tenant": "blue"}):
        await backends["blue"].connection()
    assert await status(gateway, "/") == HTTPStatus.NOT_FOUND
