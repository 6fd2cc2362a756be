"""The backends of a route are a group: sessions stay in it; operators see and change it."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from wsgw_core.pool.membership.system_resolver import SystemResolver

from .admin_operator import FAILED, NO_ACTION, SUCCESS
from .conftest import StartAdmin, StartBackend, StartGateway
from .eventually import until
from .routed import QUICK, WITHOUT_FAILOVER, echo_once, own, shared, status
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


class TestGroups:
    async def test_session_fails_over_within_its_group(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        one, two, other = [await start_backend() for _ in range(3)]
        gateway = await start_gateway(other, routes=[own("own", one, two), {"id": "rest"}])
        async with connect(gateway.url + "/own/1") as client, connect(gateway.url) as neighbour:
            await one.connection()
            await one.down()
            await echo_once(client, await two.connection())
            await echo_once(neighbour, await other.connection())
        assert other.accepted == 1

    async def test_session_waits_for_its_group_when_all_its_backends_are_down(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(green, routes=[own("own", blue), {"id": "rest"}])
        async with connect(gateway.url + "/own/1") as client:
            await blue.connection()
            await blue.down()
            await client.send("kept")
            assert await status(gateway, "/own/2") == HTTPStatus.BAD_GATEWAY
            async with connect(gateway.url):
                await green.connection()
            await blue.up()
            assert await (await blue.connection()).recv() == "kept"
        assert green.accepted == 1

    async def test_each_group_has_its_own_policy_and_turns(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        a, b, c, d = [await start_backend() for _ in range(4)]
        gateway = await start_gateway(
            a, b, routes=[own("own", c, d, policy="least-connections"), {"id": "rest"}]
        )
        async with connect(gateway.url + "/own"):
            await c.connection()
            for _ in range(3):
                async with connect(gateway.url + "/own"):
                    await d.connection()
                async with connect(gateway.url), connect(gateway.url):
                    await a.connection()
                    await b.connection()
        assert [each.accepted for each in (a, b, c, d)] == [3, 3, 1, 3]

    async def test_each_group_has_its_own_limit_of_dials(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        answer = asyncio.Event()

        async def hesitate(_connection: Any, _request: Any) -> None:
            await answer.wait()

        top, mine = [await start_backend(process_request=hesitate) for _ in range(2)]
        gateway = await start_gateway(
            top,
            routes=[
                own("own", mine, failover={"hedge-after": "0s", "max-concurrent-dials": 1}),
                {"id": "rest"},
            ],
            failover={"hedge-after": "0s", "max-concurrent-dials": 3},
        )
        async with asyncio.TaskGroup() as dials:

            async def connect_one(target: str) -> None:
                async with connect(gateway.url + target):
                    pass

            for _ in range(4):
                dials.create_task(connect_one("/own"))
                dials.create_task(connect_one("/"))
            await until(lambda: gateway.gateway.waiting_dials == 4)
            answer.set()
        assert (top.accepted, mine.accepted) == (4, 4)

    async def test_discovery_works_in_a_route_group(
        self,
        start_gateway: StartGateway,
        blue: ScriptedBackend,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def addresses(_resolver: object, host: str) -> list[str]:
            assert host == "backends.example"
            return ["127.0.0.1"]

        monkeypatch.setattr(SystemResolver, "look_up", addresses)
        port = blue.url.rpartition(":")[2]
        named = {"url": f"dns+ws://backends.example:{port}", "id": "named"}
        gateway = await start_gateway(routes=[own("own", named)], upstream={})
        async with connect(gateway.url + "/own/1"):
            await blue.connection()
        [found] = gateway.gateway.pool.backends
        assert (found.id, found.group) == ("named-127-0-0-1", "own")


class TestFailoverOff:
    async def test_lost_backend_closes_only_clients_of_the_route_without_failover(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        routes = [shared("ocpp", failover=WITHOUT_FAILOVER), {"id": "rest"}]
        gateway = await start_gateway(blue, green, routes=routes)
        async with connect(gateway.url + "/ocpp/1") as charger:
            await blue.connection()
            async with connect(gateway.url) as spare, connect(gateway.url) as browser:
                await green.connection()
                await blue.connection()
                await blue.down()
                with pytest.raises(ConnectionClosed):
                    await charger.recv()
                await echo_once(browser, await green.connection())
                assert spare.close_code is None
        assert gateway.count("failovers") == 1

    async def test_operator_moves_only_sessions_of_routes_with_failover(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        routes = [shared("ocpp", failover=WITHOUT_FAILOVER), {"id": "rest"}]
        upstream = {
            "backends": [
                {"id": "blue", "url": blue.url},
                {"id": "green", "url": green.url, "priority": 2},
            ]
        }
        gateway = await start_gateway(upstream=upstream, routes=routes, drain=QUICK)
        operator = await start_admin(gateway)
        async with connect(gateway.url + "/ocpp/1") as charger, connect(gateway.url) as browser:
            stays, goes = await blue.connection(), await blue.connection()
            by_route = {row["route"]: row["id"] for row in await operator.get("/session/list")}

            path = f"/session/failover/{by_route['ocpp']}"
            assert (await operator.call("POST", path)).status == HTTPStatus.NOT_IMPLEMENTED
            assert await operator.post("/backend/failover/blue") == SUCCESS
            assert await operator.post("/backend/failover/blue") == NO_ACTION
            await goes.wait_closed()
            await echo_once(browser, await green.connection())
            assert await operator.post("/backend/drain/blue") == SUCCESS
            await echo_once(charger, stays)

            assert await operator.post("/backend/delete/blue") == SUCCESS
            await charger.wait_closed()
            assert charger.close_code == 1001
            assert browser.close_code is None

    async def test_group_used_only_without_failover_cannot_be_drained(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        routes = [own("own", blue, failover=WITHOUT_FAILOVER), {"id": "rest"}]
        gateway = await start_gateway({"id": "green", "url": green.url}, routes=routes)
        operator = await start_admin(gateway)
        for action in ("failover", "drain"):
            refused = await operator.call("POST", f"/backend/{action}/own")
            assert refused.status == HTTPStatus.NOT_IMPLEMENTED
        assert await operator.post("/backend/drain/green") == SUCCESS


class TestOperators:
    async def test_lists_show_the_route(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        green = {"url": "ws://127.0.0.1:1", "id": "green", "priority": 3}
        gateway = await start_gateway(green, routes=[own("own", blue), {"id": "rest"}])
        operator = await start_admin(gateway)
        async with connect(gateway.url + "/own/x"):
            [session] = await operator.get("/session/list")
            assert (session["route"], session["backendId"]) == ("own", "own")
        rows = {row["id"]: row for row in await operator.get("/backend/list")}
        assert [(name, row["route"], row["priority"]) for name, row in rows.items()] == [
            ("green", "", 3),
            ("own", "own", 1),
        ]
        assert (await operator.get("/backend/config/own"))["route"] == "own"

    async def test_backend_is_added_to_the_group_of_a_route(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        gateway = await start_gateway(blue, routes=[own("own", blue), shared("b"), {"id": "r"}])
        operator = await start_admin(gateway)

        async def add(**entry: Any) -> Any:
            return await operator.post("/backend/add", data=json.dumps(entry))

        assert await add(url=green.url, id="new", route="own") == SUCCESS
        assert (await add(url=green.url, id="x", route="own"))["reason"] == "url already exists"
        assert (await add(url=green.url, id="own", route=""))["reason"] == "id already exists"
        for route in ("b", "nobody"):
            answer = await add(url=green.url, id="x", route=route)
            assert answer["reason"] == (
                f"no route '{route}' with its own backends; routes with their own backends: own"
            )
        assert (await add(url=green.url, route=5))["reason"] == "route: must be the id of a route"
        assert await add(url=green.url, id="top") == SUCCESS
        async with connect(gateway.url + "/own"), connect(gateway.url + "/own"):
            await blue.connection()
            await green.connection()
        assert {row["id"]: row["route"] for row in await operator.get("/backend/list")} == {
            blue.id: "",
            "own": "own",
            "new": "own",
            "top": "",
        }

    async def test_discovered_name_is_added_to_the_group_of_a_route(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        gateway = await start_gateway(blue, routes=[own("own", blue), {"id": "rest"}])
        operator = await start_admin(gateway)
        port = green.url.rpartition(":")[2]
        entry = {"url": f"dns+ws://127.0.0.1:{port}", "id": "name", "route": "own"}

        assert await operator.post("/backend/add", data=json.dumps(entry)) == SUCCESS

        rows = {row["id"]: row["route"] for row in await operator.get("/backend/list")}
        assert rows == {blue.id: "", "own": "own", "name-127-0-0-1": "own"}
        async with connect(gateway.url + "/own"), connect(gateway.url + "/own"):
            await green.connection()
        assert await operator.post("/backend/delete/name") == SUCCESS
        assert green.accepted == 1

    async def test_backend_that_no_route_uses_is_not_added(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(routes=[own("own", blue)], upstream={})
        operator = await start_admin(gateway)
        answer = await operator.post("/backend/add", data='{"url": "ws://127.0.0.1:1"}')
        assert answer == {
            "result": "failed",
            "reason": "every route has its own backends; set 'route' to one of own",
        }

    async def test_readyz_names_routes_without_a_usable_backend(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        routes = [own("own", blue), shared("a"), {"id": "b"}]
        gateway = await start_gateway({"id": "top", "url": green.url}, routes=routes)
        operator = await start_admin(gateway)

        await operator.post("/backend/disable/own")
        assert await operator.get("/readyz") == {
            "status": "ready",
            "reasons": [],
            "unservedRoutes": ["own"],
        }
        await operator.post("/backend/disable/top")
        answer = await operator.call("GET", "/readyz")
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert answer.json["unservedRoutes"] == ["own", "a", "b"]
        assert await operator.post("/backend/disable/nobody") == NO_ACTION
        assert await operator.post("/backend/enable/nobody") == FAILED
