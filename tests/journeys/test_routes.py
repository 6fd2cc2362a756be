"""Clients are served by the route that is for them: its backends, failover, valves and gates."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wsgw_core.api import (
    Close,
    ConfigurationError,
    GateRegistry,
    Handshake,
    ListenerRegistry,
    Message,
    Options,
    PluginContext,
    Refusal,
    Session,
    ValveRegistry,
    hookimpl,
)
from wsgw_core.components import resolve_components
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.plugin_loader import load_plugins
from wsgw_core.relay.session_state import State

from .admin_operator import FAILED, NO_ACTION, SUCCESS
from .conftest import StartAdmin, StartBackend, StartGateway
from .eventually import until
from .running_gateway import RunningGateway
from .scripted_backend import ScriptedBackend

GUIDE = Path(__file__).parents[2] / "docs/how-to/route.md"
QUICK = {"quiet": "50ms"}
WITHOUT_FAILOVER = {"enabled": False}


def own(name: str, *backends: ScriptedBackend | dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a route for `/NAME/**` with backends of its own, `NAME` and `NAME-1` by id."""
    entries = [
        {"url": each.url, "id": f"{name}-{number}" if number else name}
        if isinstance(each, ScriptedBackend)
        else each
        for number, each in enumerate(backends)
    ]
    return {"id": name, "paths": [f"/{name}/**"], "backends": entries, **keys}


def shared(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "paths": [f"/{name}/**"], **keys}


async def status(gateway: RunningGateway, target: str, **options: Any) -> int:
    """Return what a client is answered that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(gateway.url + target, **options)
    return refused.value.response.status_code


async def reload(gateway: RunningGateway, **sections: Any) -> None:
    data = {"server": {"frontend": {"address": "127.0.0.1:0"}}, "drain": QUICK, **sections}
    config = GatewayConfig.model_validate(data)
    await gateway.gateway.reload(config, resolve_components(config, load_plugins(["ws"])))


async def echo_once(client: ClientConnection, backend: Any, text: str = "hello") -> None:
    await client.send(text)
    assert await backend.recv() == text


class TestChoice:
    async def test_paths(
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

    async def test_hosts(
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

    async def test_headers_as_the_client_has_sent_them(
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

    async def test_the_first_that_matches_is_taken(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        rest = {"id": "rest"}
        gateway = await start_gateway(green, routes=[own("blue", blue), rest])
        async with connect(gateway.url + "/blue/x"):
            await blue.connection()
        async with connect(gateway.url + "/other"):
            await green.connection()

    async def test_what_no_route_is_for_is_not_found_and_counted(
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

    async def test_without_routes_no_path_is_unknown(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(blue, routes=[])
        operator = await start_admin(gateway)
        async with connect(gateway.url + "/any"):
            text = (await operator.call("GET", "/metrics")).text
        assert "wsgw_route_sessions{" not in text
        assert gateway.count("handshakes_unrouted") == 0


async def test_the_guide_does_what_it_says(
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


class TestGroups:
    async def test_a_session_fails_over_within_its_group(
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

    async def test_and_waits_for_it_when_it_is_gone(
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

    async def test_each_has_its_policy_and_its_turns(
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

    async def test_each_has_its_bound_of_dials(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        answer = asyncio.Event()

        async def hesitate(_connection: Any, _request: Any) -> None:
            await answer.wait()

        top, mine = [await start_backend(process_request=hesitate) for _ in range(2)]
        gateway = await start_gateway(
            top,
            routes=[own("own", mine, failover={"max-concurrent-dials": 1}), {"id": "rest"}],
            failover={"max-concurrent-dials": 3},
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

    async def test_discovery_works_in_a_route(
        self,
        start_gateway: StartGateway,
        blue: ScriptedBackend,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def addresses(host: str | None, _port: int | None) -> list[str]:
            assert host == "backends.example"
            return ["127.0.0.1"]

        monkeypatch.setattr("wsgw_core.gateway.system_addresses", addresses)
        port = blue.url.rpartition(":")[2]
        named = {"url": f"dns+ws://backends.example:{port}", "id": "named"}
        gateway = await start_gateway(routes=[own("own", named)], upstream={})
        async with connect(gateway.url + "/own/1"):
            await blue.connection()
        [found] = gateway.gateway.steering.backends
        assert (found.id, found.group) == ("named-127-0-0-1", "own")


class TestFailoverOff:
    async def test_in_one_route_the_backends_loss_is_the_clients(
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

    async def test_operators_move_only_those_that_may(
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
            await echo_once(browser, await green.connection())
            await goes.wait_closed()
            assert await operator.post("/backend/drain/blue") == SUCCESS
            await echo_once(charger, stays)

            assert await operator.post("/backend/delete/blue") == SUCCESS
            await charger.wait_closed()
            assert charger.close_code == 1001
            assert browser.close_code is None

    async def test_a_group_that_only_such_routes_use_cannot_be_moved(
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


class Words(Options):
    word: str = ""


class Marking:
    """Writes its word behind each message of the client."""

    def __init__(self, options: Words, _session: Session) -> None:
        self._word = options.word

    def before_transmit(self, message: Message) -> Message:
        return Message.from_text(f"{message.text}>{self._word}")

    def after_receive(self, message: Message) -> Message:
        return message


class Refusing:
    """Lets nobody in whose path has the word in it."""

    def __init__(self, options: Words, _context: PluginContext) -> None:
        self._word = options.word

    def admit(self, handshake: Handshake) -> Refusal | None:
        return Refusal(403, (), b"") if self._word in handshake.path else None


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    registry.add("marking", Words, Marking)


@hookimpl
def wsgw_register_gates(registry: GateRegistry) -> None:
    registry.add("refusing", Words, Refusing)


PLUGIN = SimpleNamespace(
    WSGW_API="1.0",
    wsgw_register_valves=wsgw_register_valves,
    wsgw_register_gates=wsgw_register_gates,
)


def marking(word: str) -> dict[str, str]:
    return {"kind": "marking", "word": word}


def refusing(word: str) -> dict[str, str]:
    return {"kind": "refusing", "word": word}


class TestValvesAndGates:
    async def test_valves_of_a_route_replace_those_of_the_gateway(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            blue,
            plugins=[PLUGIN],
            valves=[marking("top")],
            routes=[
                shared("own", valves=[marking("a"), marking("b")]),
                shared("none", valves=[]),
                {"id": "rest"},
            ],
        )
        for target, text in {"/own": "x>a>b", "/none": "x", "/other": "x>top"}.items():
            async with connect(gateway.url + target) as client:
                await client.send("x")
                assert await (await blue.connection()).recv() == text

    async def test_gates_of_a_route_replace_those_of_the_gateway(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            blue,
            plugins=[PLUGIN],
            gates=[refusing("bad")],
            routes=[
                shared("own", gates=[refusing("worse")]),
                shared("none", gates=[]),
                {"id": "r"},
            ],
        )
        for target in ("/own/worse", "/other/bad"):
            assert await status(gateway, target) == HTTPStatus.FORBIDDEN
        for target in ("/own/bad", "/none/bad/worse", "/other/worse"):
            async with connect(gateway.url + target):
                await blue.connection()


class Asking:
    """A gate, and valves and a listener: note by which route each client comes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def admit(self, handshake: Handshake) -> Refusal | None:
        self.told.append(("gate", handshake.route))
        return None

    def valve(self, _options: Options, session: Session) -> Marking:
        self.told.append(("valve", session.route))
        return Marking(Words(word=session.route), session)

    def session_created(self, session: Session) -> None:
        self.told.append(("created", session.route))

    def session_failed_over(self, session: Session, _old: str | None, _new: str) -> None:
        self.told.append(("moved", session.route))

    def session_terminated(self, session: Session, _close: Close) -> None:
        self.told.append(("terminated", session.route))

    @hookimpl
    def wsgw_register_gates(self, registry: GateRegistry) -> None:
        registry.add("asking", Options, lambda _options, _context: self)

    @hookimpl
    def wsgw_register_listeners(self, registry: ListenerRegistry) -> None:
        registry.add("asking", Options, lambda _options, _context: self)

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("asking", Options, self.valve)

    WSGW_API = "1.0"


class TestPlugins:
    """One entry for all routes can tell their clients apart."""

    async def test_are_told_the_route_of_each_client(
        self,
        start_gateway: StartGateway,
        blue: ScriptedBackend,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        asking = Asking()
        kind = [{"kind": "asking"}]
        gateway = await start_gateway(
            blue,
            plugins=[asking],
            valves=kind,
            gates=kind,
            listeners=kind,
            routes=[shared("first"), shared("second")],
        )
        caplog.set_level(logging.INFO, "wsgw")
        for route in ("first", "second"):
            asking.told.clear()
            async with connect(f"{gateway.url}/{route}/x") as client:
                served = await blue.connection()
                await client.send("x")
                assert await served.recv() == f"x>{route}"
                [session] = gateway.gateway.sessions
                session.fail_over()
                await blue.connection()
            await until(lambda: not len(gateway.gateway.sessions))
            told = ["gate", "valve", "created", "moved", "terminated"]
            assert asking.told == [(each, route) for each in told]
            [opened] = [each for each in caplog.records if "opened at" in each.getMessage()]
            assert opened.getMessage().endswith(f"by route {route}")
            assert {vars(each).get("route") for each in caplog.records} <= {route, None}
            caplog.clear()

    async def test_and_of_none_where_there_are_no_routes(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        asking = Asking()
        kind = [{"kind": "asking"}]
        gateway = await start_gateway(
            blue, plugins=[asking], valves=kind, gates=kind, listeners=kind
        )
        async with connect(gateway.url):
            await blue.connection()
        await until(lambda: not len(gateway.gateway.sessions))
        assert {route for _, route in asking.told} == {""}


class TestOperators:
    async def test_lists_name_the_route(
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

    async def test_a_backend_is_added_to_the_group_of_a_route(
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
                f"no route '{route}' has backends of its own; these have: own"
            )
        assert (await add(url=green.url, route=5))["reason"] == "route: not the id of a route"
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

    async def test_a_name_is_added_to_the_group_of_a_route(
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

    async def test_nothing_is_added_that_no_route_would_use(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(routes=[own("own", blue)], upstream={})
        operator = await start_admin(gateway)
        answer = await operator.post("/backend/add", data='{"url": "ws://127.0.0.1:1"}')
        assert answer == {
            "result": "failed",
            "reason": "each route has backends of its own: give a route of own",
        }

    async def test_a_route_without_a_usable_backend_is_named_and_others_are_served(
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


class TestReload:
    async def test_routes_come_change_and_go_while_clients_are_connected(
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

    async def test_nothing_is_counted_any_more_for_a_route_that_is_gone(
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

    async def test_sessions_of_a_route_that_is_gone_stay_with_their_backend_to_the_end(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        top = {"backends": [{"url": blue.url, "id": "top"}]}
        gateway = await start_gateway(upstream=top, routes=[own("own", green), {"id": "rest"}])
        client = await connect(gateway.url + "/own/1")
        served = await green.connection()

        await reload(gateway, upstream=top)
        assert [each.id for each in gateway.gateway.steering.backends] == ["top"]
        async with connect(gateway.url + "/own/1"):
            await blue.connection()
        await asyncio.sleep(0.2)  # more than a session needs to move
        await echo_once(client, served)

        await client.close()
        await served.wait_closed()
        assert gateway.count("moves") == 0

    async def test_and_come_back_to_it_when_it_was_down(
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

    async def test_a_route_of_another_name_takes_nothing_from_sessions_of_before(
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

    async def test_a_group_that_goes_while_its_sessions_move_keeps_them(
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

    async def test_a_client_whose_backend_is_dialled_meanwhile_is_served(
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

    async def test_a_backend_that_is_gone_from_a_group_is_drained_within_it(
        self, start_gateway: StartGateway, start_backend: StartBackend
    ) -> None:
        one, two, top = [await start_backend() for _ in range(3)]
        upstream = {"backends": [{"url": top.url, "id": "top"}]}
        gateway = await start_gateway(
            upstream=upstream, routes=[own("own", one, two), {"id": "rest"}], drain=QUICK
        )
        async with connect(gateway.url + "/own/1") as client:
            await one.connection()
            left = {"id": "own-1", "url": two.url}

            await reload(gateway, upstream=upstream, routes=[own("own", left), {"id": "rest"}])

            await echo_once(client, await two.connection())
        assert top.accepted == 0

    async def test_a_backend_that_moves_to_another_group_leaves_its_sessions_to_the_others(
        self, start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
    ) -> None:
        moving, staying = {"id": "m", "url": blue.url}, {"id": "s", "url": green.url}
        upstream = {"backends": [moving, staying]}
        gateway = await start_gateway(upstream=upstream, drain=QUICK)
        async with connect(gateway.url + "/") as client:
            await blue.connection()

            await reload(
                gateway, upstream={"backends": [staying]}, routes=[own("own", moving), {"id": "r"}]
            )

            await echo_once(client, await green.connection())
            async with connect(gateway.url + "/own"):
                await blue.connection()
        assert gateway.count("moves") == 1

    async def test_what_an_operator_has_added_to_a_group_goes_with_it(
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

        assert [each.id for each in gateway.gateway.steering.backends] == ["top"]

    async def test_failover_policy_valves_and_bounds_hold_for_new_sessions(
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
    async def test_what_cannot_be_used_changes_nothing(
        self, start_gateway: StartGateway, blue: ScriptedBackend, routes: list[dict[str, Any]]
    ) -> None:
        gateway = await start_gateway(routes=[own("own", blue)], upstream={})
        with pytest.raises((ConfigurationError, ValueError)):
            await reload(gateway, routes=routes)
        async with connect(gateway.url + "/own"):
            await blue.connection()
        assert await status(gateway, "/other") == 404
