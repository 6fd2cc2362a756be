"""Reload: routes are added, changed and removed while their clients are connected."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from wsgw_core.api import ConfigurationError
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.running_gateway import RunningGateway

from .admin_operator import NO_ACTION, SUCCESS
from .conftest import StartAdmin, StartBackend, StartGateway
from .eventually import until
from .routed import QUICK, WITHOUT_FAILOVER, echo_once, own, shared, status
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def reload(gateway: RunningGateway, **sections: Any) -> None:
    server = {"frontend": {"address": "127.0.0.1:0"}}
    await gateway.reload({"server": server, "drain": QUICK, **sections})


class TestReload:
    async def test_routes_are_added_changed_and_removed_under_connected_clients(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        top = {"backends": [{"url": blue.url, "id": "top"}]}
        gateway = await start_gateway(upstream=top, drain=QUICK)
        async with connect(gateway.url + "/old") as old:
            served = await blue.connection()

            routes = [own("own", green), shared("a", failover=WITHOUT_FAILOVER)]
            await reload(gateway, upstream=top, routes=routes)
            await echo_once(old, served)
            assert await status(gateway, "/old") == 404
            async with connect(gateway.url + "/own/1") as client, connect(gateway.url + "/a") as a:
                mine, theirs = await green.connection(), await blue.connection()

                changed = {**routes[0], "paths": ["/other"]}
                await reload(gateway, upstream=top, routes=[changed, {"id": "rest"}])
                assert {session.route for session in gateway.gateway.sessions} == {"", "own", "a"}
                async with connect(gateway.url + "/other"):
                    await green.connection()
                async with connect(gateway.url + "/own/1"):
                    await blue.connection()

                await reload(gateway, upstream=top)
                async with connect(gateway.url + "/other"):
                    await blue.connection()
                await echo_once(client, mine)
                await echo_once(a, theirs)
                await echo_once(old, served)
        assert gateway.count("failovers") == gateway.count("moves") == 0

    async def test_counters_of_a_removed_route_are_removed(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(blue, routes=[shared("a"), shared("b")])
        for target in ("/a", "/b", "/b"):
            async with connect(gateway.url + target):
                pass
        counted = gateway.gateway.counters.route_handshakes
        assert counted == {"a": 1, "b": 2}

        await reload(gateway, upstream={"backends": [{"url": blue.url}]}, routes=[shared("b")])

        assert counted == {"b": 2}

    async def test_sessions_of_a_removed_route_stay_with_their_backend(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        top = {"backends": [{"url": blue.url, "id": "top"}]}
        gateway = await start_gateway(upstream=top, routes=[own("own", green), {"id": "rest"}])
        client = await connect(gateway.url + "/own/1")
        served = await green.connection()

        await reload(gateway, upstream=top)
        assert [each.id for each in gateway.gateway.pool.backends] == ["top"]
        async with connect(gateway.url + "/own/1"):
            await blue.connection()
        await asyncio.sleep(0.2)  # longer than a session needs to move
        await echo_once(client, served)

        await client.close()
        await served.wait_closed()
        assert gateway.count("moves") == 0

    async def test_session_of_a_removed_route_returns_to_its_backend_after_an_outage(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        top = {"backends": [{"url": blue.url, "id": "top"}]}
        gateway = await start_gateway(upstream=top, routes=[own("own", green), {"id": "rest"}])
        async with connect(gateway.url + "/own/1") as client:
            await green.connection()
            await reload(gateway, upstream=top)
            await green.down()
            await client.send("kept")
            await green.up()
            assert await (await green.connection()).recv() == "kept"
        assert blue.accepted == 0

    async def test_renamed_route_does_not_affect_older_sessions(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        top = {"backends": [{"url": green.url, "id": "top"}]}
        moving = {"id": "moving", "url": blue.url}
        gateway = await start_gateway(upstream=top, routes=[own("old", moving), {"id": "rest"}])
        operator = await start_admin(gateway)
        async with connect(gateway.url + "/old/1") as client:
            served = await blue.connection()
            await reload(gateway, upstream=top, routes=[own("new", moving), {"id": "rest"}])
            for action in ("failover", "drain", "delete"):
                answer = await operator.post(f"/backend/{action}/moving")
                assert answer == (NO_ACTION if action == "failover" else SUCCESS)
                await echo_once(client, served)
        assert gateway.count("failovers") == gateway.count("moves") == 0

    async def test_sessions_moving_within_a_removed_group_stay_in_it(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        one, two, top = [await start_backend() for _ in range(3)]
        upstream = {"backends": [{"url": top.url, "id": "top"}]}
        left = {"id": "own-1", "url": two.url}
        rest = {"id": "rest"}
        gateway = await start_gateway(
            upstream=upstream, routes=[own("own", one, two), rest], drain=QUICK
        )
        async with connect(gateway.url + "/own/1") as client:
            served = await one.connection()
            await reload(gateway, upstream=upstream, routes=[own("own", left), rest])
            [session] = gateway.gateway.sessions
            await until(lambda: session.state is State.SETTLING)

            await reload(gateway, upstream=upstream)

            await served.wait_closed()
            await echo_once(client, await two.connection())

    async def test_client_whose_dial_spans_the_reload_is_served(
        self, start_gateway: StartGateway, start_backend: StartBackend, green: ScriptedBackend
    ) -> None:
        dialled, answer = asyncio.Event(), asyncio.Event()

        async def hesitate(_connection: Any, _request: Any) -> None:
            dialled.set()
            await answer.wait()

        blue = await start_backend(process_request=hesitate)
        top = {"backends": [{"url": green.url, "id": "top"}]}
        gateway = await start_gateway(upstream=top, routes=[own("own", blue), {"id": "rest"}])
        dial = asyncio.ensure_future(connect(gateway.url + "/own/1"))
        await dialled.wait()

        await reload(gateway, upstream=top)

        answer.set()
        async with await dial as client:
            await echo_once(client, await blue.connection())

    async def test_waiting_dials_of_a_removed_group_stay_counted_and_limited(
        self, start_gateway: StartGateway, start_backend: StartBackend, green: ScriptedBackend
    ) -> None:
        answer = asyncio.Event()

        async def hesitate(_connection: Any, _request: Any) -> None:
            await answer.wait()

        slow = await start_backend(process_request=hesitate)
        top = {"backends": [{"url": green.url, "id": "top"}]}
        one_at_a_time = own("own", slow, failover={"hedge-after": "0s", "max-concurrent-dials": 1})
        gateway = await start_gateway(upstream=top, routes=[one_at_a_time, {"id": "rest"}])
        dials = [asyncio.ensure_future(connect(gateway.url + "/own")) for _ in range(3)]
        await until(lambda: gateway.gateway.waiting_dials == 2)

        await reload(gateway, upstream=top, routes=[{"id": "rest"}])

        assert gateway.gateway.waiting_dials == 2
        assert b"wsgw_waiting_dials 2.0" in await gateway.gateway.exposition.text()
        answer.set()
        for client in await asyncio.gather(*dials):
            await client.close()
        assert gateway.gateway.waiting_dials == 0
        assert (slow.accepted, green.accepted) == (3, 0)

    async def test_backend_removed_from_a_group_is_drained_within_it(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        one, two, top = [await start_backend() for _ in range(3)]
        upstream = {"backends": [{"url": top.url, "id": "top"}]}
        gateway = await start_gateway(
            upstream=upstream, routes=[own("own", one, two), {"id": "rest"}], drain=QUICK
        )
        async with connect(gateway.url + "/own/1") as client:
            old = await one.connection()
            left = {"id": "own-1", "url": two.url}

            await reload(gateway, upstream=upstream, routes=[own("own", left), {"id": "rest"}])

            await old.wait_closed()
            await echo_once(client, await two.connection())
        assert top.accepted == 0

    async def test_sessions_of_a_backend_that_changes_group_stay_in_the_old_group(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        moving, staying = {"id": "m", "url": blue.url}, {"id": "s", "url": green.url}
        upstream = {"backends": [moving, staying]}
        gateway = await start_gateway(upstream=upstream, drain=QUICK)
        async with connect(gateway.url + "/") as client:
            old = await blue.connection()

            await reload(
                gateway, upstream={"backends": [staying]}, routes=[own("own", moving), {"id": "r"}]
            )

            await old.wait_closed()
            await echo_once(client, await green.connection())
            async with connect(gateway.url + "/own"):
                await blue.connection()
        assert gateway.count("moves") == 1

    async def test_backend_added_to_a_group_is_removed_with_it(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        top = {"backends": [{"url": blue.url, "id": "top"}]}
        gateway = await start_gateway(upstream=top, routes=[own("own", green), {"id": "rest"}])
        operator = await start_admin(gateway)
        added = {"url": "ws://127.0.0.1:1", "id": "added", "route": "own"}
        assert await operator.post("/backend/add", data=json.dumps(added)) == SUCCESS

        await reload(gateway, upstream=top)

        assert [each.id for each in gateway.gateway.pool.backends] == ["top"]

    async def test_changed_failover_and_policy_apply_to_new_sessions(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        routes = [own("own", blue, green)]
        gateway = await start_gateway(routes=routes, upstream={})
        async with connect(gateway.url + "/own/old") as old:
            await blue.connection()
            await reload(
                gateway,
                routes=[{**routes[0], "policy": "least-connections", "failover": WITHOUT_FAILOVER}],
            )
            async with connect(gateway.url + "/own/new") as new:
                served = await green.connection()
                await blue.down()
                await echo_once(old, await green.connection())
                served.transport.abort()
                with pytest.raises(ConnectionClosed):
                    await new.recv()

    @pytest.mark.parametrize(
        "routes",
        [
            [{"id": "a"}, {"id": "b"}],
            [{"id": "own", "backends": [{"url": "wss://a:1", "tls": {"ca": "/no/such.pem"}}]}],
        ],
    )
    async def test_unusable_routes_change_nothing(
        self, start_gateway: StartGateway, blue: ScriptedBackend, routes: list[dict[str, Any]]
    ) -> None:
        gateway = await start_gateway(routes=[own("own", blue)], upstream={})
        with pytest.raises((ConfigurationError, ValueError)):
            await reload(gateway, routes=routes)
        async with connect(gateway.url + "/own"):
            await blue.connection()
        assert await status(gateway, "/other") == 404
