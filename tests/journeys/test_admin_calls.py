"""Each call of the admin API, against a gateway that relays messages."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State

from wsgw_core.testing.running_gateway import RunningGateway

from .admin_operator import FAILED, NO_ACTION, SUCCESS, Operator
from .conftest import StartAdmin, StartBackend, StartGateway
from .eventually import TIMEOUT, until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
) -> RunningGateway:
    return await start_gateway({"id": "blue", "url": blue.url}, {"id": "green", "url": green.url})


@pytest.fixture
async def operator(gateway: RunningGateway, start_admin: StartAdmin) -> Operator:
    return await start_admin(gateway)


async def backend_row(operator: Operator, backend_id: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = await operator.get("/backend/list")
    return next(row for row in rows if row["id"] == backend_id)


class TestBackends:
    async def test_list_shows_all_fields_of_a_backend(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        async with connect(gateway.url):
            await blue.connection()
            row = await backend_row(operator, "blue")
        assert row == {
            "url": blue.url,
            "id": "blue",
            "discoveredBy": "",
            "activeConnections": 1,
            "enabled": True,
            "tripped": False,
            "away": False,
            "down": "",
            "healthy": True,
            "totalConnections": 1,
            "totalFailures": 0,
            "priority": 1,
            "weight": 1,
            "route": "",
        }

    async def test_backend_that_has_died_is_away_until_it_answers_a_dial(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        async with connect(gateway.url):
            await blue.connection()
            await blue.down()
            await until(lambda: gateway.gateway.counters.failovers.value)
            row = await backend_row(operator, "blue")
            assert (row["away"], row["tripped"], row["down"]) == (True, False, "")
            metrics = (await operator.call("GET", "/metrics")).text
            assert 'wsgw_backend_away{backend="blue"} 1.0' in metrics
            await blue.up()
            while (await backend_row(operator, "blue"))["away"]:
                async with connect(gateway.url):
                    pass

    async def test_config_has_wsbalancers_fields(
        self, start_gateway: StartGateway, start_admin: StartAdmin
    ) -> None:
        gateway = await start_gateway(
            {
                "id": "one",
                "url": "ws://user:secret@127.0.0.1:1/x",
                "ping-time": "10m",
                "handshake-timeout": "1500ms",
                "breaker-threshold": -1,
                "pass-headers": ["X-A"],
                "read-buffer-size": 2048,
            }
        )
        config = await (await start_admin(gateway)).get("/backend/config/one")
        wanted = {
            "id": "one",
            "ping-time": "10m0s",
            "read-buffer-size": 2048,
            "write-buffer-size": 1024,
            "breaker-threshold": -1,
            "handshake-timeout": "1.5s",
            "pass-headers": ["X-A"],
            "abnormal-close-codes": [1001, 1006, 1011, 1012, 1013, 1014],
        }
        assert config == config | wanted
        assert config["url"] == "ws://user:***@127.0.0.1:1/x"

    async def test_config_of_unknown_backend_is_empty(self, operator: Operator) -> None:
        assert await operator.get("/backend/config/nobody") == {}

    async def test_added_backend_serves(
        self,
        gateway: RunningGateway,
        operator: Operator,
        start_backend: StartBackend,
    ) -> None:
        third = await start_backend()
        body = json.dumps({"url": third.url, "breaker-threshold": 3, "ping-time": "1s"})
        assert await operator.post("/backend/add", data=body) == SUCCESS
        assert (await operator.get(f"/backend/config/{third.id}"))["breaker-threshold"] == 3
        for backend_id in ("blue", "green"):
            await operator.post(f"/backend/disable/{backend_id}")
        async with connect(gateway.url) as client:
            served = await third.connection()
            await client.send("hello")
            assert await served.recv() == "hello"

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("", "body is not JSON"),
            ("{", "body is not JSON"),
            (b"\xff\xfe", "body is not JSON"),
            ("[" * 5000, "body is not JSON"),
            ("[]", "must be an object with the keys of a backend"),
            ("null", "must be an object with the keys of a backend"),
            ("{}", "no url"),
            ('{"url": ""}', "no url"),
            ('{"url": "pigeon://a:1"}', "pigeon"),
            ('{"url": "ws://a:1", "ping-tim": "1s"}', "ping-time"),
            ('{"url": "ws://a:1", "id": "a b"}', "id: found 'a b'"),
            ('{"url": "ws://a:1", "id": "blue"}', "id already exists"),
            ('{"url": "ws://a:1", "breaker-threshold": 0}', "breaker-threshold"),
            ('{"url": "dns+ws://a"}', "a name and a port"),
            ('{"url": "dns+ws://a:1", "id": "green"}', "id already exists"),
        ],
    )
    async def test_invalid_backend_is_reported_and_not_added(
        self, operator: Operator, body: str | bytes, reason: str
    ) -> None:
        answer = await operator.post("/backend/add", data=body)
        assert answer["result"] == "failed"
        assert reason in answer["reason"]
        assert "upstream" not in answer["reason"]
        assert [row["id"] for row in await operator.get("/backend/list")] == ["blue", "green"]

    async def test_adding_a_url_twice_fails(
        self, operator: Operator, blue: ScriptedBackend
    ) -> None:
        body = json.dumps({"url": blue.url, "id": "other"})
        answer = await operator.post("/backend/add", data=body)
        assert answer == {"result": "failed", "reason": "url already exists"}

    async def test_disabled_backend_keeps_its_sessions_and_gets_no_new_ones(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        async with connect(gateway.url) as old:
            served = await blue.connection()
            assert await operator.post("/backend/disable/blue") == SUCCESS
            assert not (await backend_row(operator, "blue"))["enabled"]
            assert await operator.post("/backend/disable/blue") == NO_ACTION
            for _ in range(3):
                async with connect(gateway.url):
                    await green.connection()
            await old.send("still here")
            assert await served.recv() == "still here"
        assert blue.accepted == 1
        assert await operator.post("/backend/enable/blue") == SUCCESS
        assert await operator.post("/backend/enable/blue") == NO_ACTION
        async with connect(gateway.url), connect(gateway.url):
            await blue.connection()

    async def test_actions_on_unknown_backend_fail_or_change_nothing(
        self, operator: Operator
    ) -> None:
        for action, answer in {
            "disable": NO_ACTION,
            "enable": FAILED,
            "failover": NO_ACTION,
            "drain": FAILED,
            "reset": FAILED,
            "delete": NO_ACTION,
        }.items():
            assert await operator.post(f"/backend/{action}/nobody") == answer, action

    async def test_failover_moves_the_sessions_of_a_backend(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        async with connect(gateway.url) as client:
            old = await blue.connection()
            assert await operator.post("/backend/failover/green") == NO_ACTION
            assert await operator.post("/backend/failover/blue") == SUCCESS
            served = await green.connection()
            await old.wait_closed()
            assert served.request is not None
            assert served.request.headers["X-Balancer-Reconnect"] == "1"
            await client.send("moved")
            assert await served.recv() == "moved"

    async def test_drain_moves_the_session_once_its_backend_is_quiet(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        async with connect(gateway.url) as client:
            served = await blue.connection()
            await client.send("before")
            assert await served.recv() == "before"
            assert await operator.post("/backend/drain/blue") == SUCCESS
            assert await operator.post("/backend/drain/blue") == NO_ACTION
            assert not (await backend_row(operator, "blue"))["enabled"]
            await served.send("answer")
            assert await client.recv() == "answer"
            await client.send("meanwhile")
            assert await served.recv() == "meanwhile"
            moved = await green.connection()
            assert moved.request is not None
            assert moved.request.headers["X-Wsgw-Replayed"] == "0"
            await served.wait_closed()
            await client.send("afterwards")
            assert await moved.recv() == "afterwards"
            assert served.close_code == 1001
            assert (await backend_row(operator, "blue"))["activeConnections"] == 0
            assert await operator.post("/backend/enable/blue") == SUCCESS
            assert await operator.post("/backend/drain/blue") == SUCCESS

    async def test_reset_closes_the_breaker_of_a_tripped_backend(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        assert await operator.post("/backend/reset/blue") == NO_ACTION
        await blue.down()
        for _ in range(20):
            async with connect(gateway.url):
                pass
        row = await backend_row(operator, "blue")
        assert row["tripped"]
        assert row["totalFailures"] >= 10
        await blue.up()
        assert await operator.post("/backend/reset/blue") == SUCCESS
        assert not (await backend_row(operator, "blue"))["tripped"]

    async def test_deleting_a_backend_removes_it_and_moves_its_sessions(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        async with connect(gateway.url) as client:
            old = await blue.connection()
            assert await operator.post("/backend/delete/blue") == SUCCESS
            served = await green.connection()
            await old.wait_closed()
            await client.send("moved")
            assert await served.recv() == "moved"
            assert await operator.get("/backend/config/blue") == {}
            assert await operator.post("/backend/delete/blue") == NO_ACTION
            assert [row["id"] for row in await operator.get("/backend/list")] == ["green"]
            body = json.dumps({"url": blue.url, "id": "blue"})
            assert await operator.post("/backend/add", data=body) == SUCCESS

    async def test_nothing_is_kept_of_deleted_backends(
        self, gateway: RunningGateway, operator: Operator, start_backend: StartBackend
    ) -> None:
        passing = await start_backend()
        for backend_id in ("blue", "green"):
            await operator.post(f"/backend/delete/{backend_id}")
        for number in range(3):
            body = json.dumps({"url": passing.url, "id": f"passing-{number}"})
            assert await operator.post("/backend/add", data=body) == SUCCESS
            async with connect(gateway.url) as client:
                served = await passing.connection()
                await client.send("hello")
                assert await served.recv() == "hello"
            await served.wait_closed()
            assert "passing" in (await operator.call("GET", "/metrics")).text
            assert await operator.post(f"/backend/delete/passing-{number}") == SUCCESS

        async with asyncio.timeout(TIMEOUT):
            while "passing" in (await operator.call("GET", "/metrics")).text:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        assert not [name for name in logging.root.manager.loggerDict if "passing" in name]

    async def test_deleting_a_backend_with_250_sessions_drops_none(
        self,
        start_gateway: StartGateway,
        start_admin: StartAdmin,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        gateway = await start_gateway(blue, green, failover={"dial-timeout": "60s"})
        operator = await start_admin(gateway)
        await operator.post(f"/backend/disable/{green.id}")
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connect(gateway.url)) for _ in range(250)]
            await operator.post(f"/backend/enable/{green.id}")
            assert await operator.post(f"/backend/delete/{blue.id}") == SUCCESS
            sessions = gateway.gateway.sessions
            await until(lambda: all(each.backend_id == green.id for each in sessions))
            served = [await green.connection() for _ in range(green.accepted)]
            # A busy machine may give up a connection that took long, and make another one.
            await until(lambda: sum(each.state is State.OPEN for each in served) == 250)
            for client in clients:
                await client.send("here")
            for each in served:
                if each.state is State.OPEN:
                    assert await each.recv() == "here"
        assert blue.accepted == 250

    async def test_drain_and_failover_are_refused_when_failover_is_off(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(blue, failover={"enabled": False})
        operator = await start_admin(gateway)
        async with connect(gateway.url) as client:
            await blue.connection()
            answer = await operator.call("POST", f"/backend/drain/{blue.id}")
            assert answer.status == 501
            answer = await operator.call("POST", f"/backend/failover/{blue.id}")
            assert answer.status == 501
            assert answer.json == {"result": "failed", "reason": "NotImplemented"}
            [session] = await operator.get("/session/list")
            answer = await operator.call("POST", f"/session/failover/{session['id']}")
            assert answer.status == 501
            assert await operator.post(f"/backend/delete/{blue.id}") == SUCCESS
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001

    async def test_added_backend_gets_the_held_sessions(
        self, gateway: RunningGateway, operator: Operator, start_backend: StartBackend
    ) -> None:
        async with connect(gateway.url) as client:
            for backend_id in ("blue", "green"):
                await operator.post(f"/backend/delete/{backend_id}")
            assert await operator.get("/backend/list") == []
            await client.send("kept")
            third = await start_backend()
            await operator.post("/backend/add", data=json.dumps({"url": third.url}))
            assert await (await third.connection()).recv() == "kept"


class TestSessions:
    async def test_list_shows_a_session_and_abort_closes_it(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        async with connect(f"{gateway.url}/chat?room=blue&token=s3cret") as client:
            served = await blue.connection()
            await client.send("one")
            await served.recv()
            await served.send("two")
            await served.send("three")
            assert [await client.recv(), await client.recv()] == ["two", "three"]
            [row] = await operator.get("/session/list")
            assert len(row["id"]) >= 20
            assert row == {
                "id": row["id"],
                "uri": "/chat?room=blue&token=***",
                "backendId": "blue",
                "reconnects": 0,
                "msgsReceived": 1,
                "msgsSent": 2,
                "hydrating": False,
                "state": "relaying",
                "route": "",
            }
            assert await operator.post(f"/session/abort/{row['id']}") == SUCCESS
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1000
            await served.wait_closed()
            assert served.close_code == 1001
        assert await operator.post(f"/session/abort/{row['id']}") == NO_ACTION
        assert await operator.get("/session/list") == []

    async def test_failover_moves_a_session(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        assert await operator.post("/session/failover/nobody") == FAILED
        async with connect(gateway.url) as client:
            await blue.connection()
            [row] = await operator.get("/session/list")
            assert await operator.post(f"/session/failover/{row['id']}") == SUCCESS
            served = await green.connection()
            await served.send("from green")
            assert await client.recv() == "from green"
            [row] = await operator.get("/session/list")
            assert (row["backendId"], row["reconnects"]) == ("green", 1)


class TestSending:
    @pytest.mark.parametrize(
        ("headers", "body", "received"),
        [
            ({"Content-Type": "text/plain; charset=utf-8"}, "Grüße".encode(), "Grüße"),
            ({"Content-Type": "application/json"}, b'{"a": 1}', '{"a": 1}'),
            ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", "a=b"),
            ({"Content-Type": "Application/Octet-Stream"}, b"\x00\xff", b"\x00\xff"),
            ({"Content-Type": "application/octet-stream; x=y"}, b"text", b"text"),
            ({}, b"no type", "no type"),
            ({"Content-Type": "text/plain"}, b"", ""),
        ],
    )
    async def test_client_receives_the_body_as_a_message(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        headers: dict[str, str],
        body: bytes,
        received: str | bytes,
    ) -> None:
        async with connect(gateway.url) as client:
            served = await blue.connection()
            assert served.request is not None
            session = served.request.headers["X-Wsgw-Session"]
            path = f"/session/send/{session}"
            untold = [] if headers else ["Content-Type"]
            answer = await operator.post(path, data=body, headers=headers, skip_auto_headers=untold)
            assert answer == SUCCESS
            assert await client.recv() == received
            await served.send("from the backend")
            assert await client.recv() == "from the backend"
            [row] = await operator.get("/session/list")
            assert row["msgsSent"] == 2

    async def test_session_that_has_moved_can_still_be_sent_to(
        self,
        gateway: RunningGateway,
        operator: Operator,
        blue: ScriptedBackend,
        green: ScriptedBackend,
    ) -> None:
        async with connect(gateway.url) as client:
            served = await blue.connection()
            assert served.request is not None
            session = served.request.headers["X-Wsgw-Session"]
            await operator.post("/backend/delete/blue")
            await green.connection()
            assert await operator.post(f"/session/send/{session}", data="hello") == SUCCESS
            assert await client.recv() == "hello"

    async def test_message_that_cannot_be_sent_is_reported(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(blue, limits={"max-message-size": 100})
        operator = await start_admin(gateway, max_body_bytes=1000)
        assert await operator.post("/session/send/nobody", data=b"hello") == FAILED
        async with connect(gateway.url) as client:
            await blue.connection()
            [row] = await operator.get("/session/list")
            path = f"/session/send/{row['id']}"
            answer = await operator.post(path, data=b"\xff", headers={"Content-Type": "text/plain"})
            assert answer["result"] == "failed"
            assert "not UTF-8" in answer["reason"]
            answer = await operator.post(path, data=b"x" * 101)
            too_large = "the message is larger than limits.max-message-size (100 bytes)"
            assert answer["reason"] == too_large
            assert (await operator.call("POST", path, data=b"x" * 1001)).status == 413
            assert await operator.post(path, data=b"x" * 100) == SUCCESS
            assert await client.recv() == b"x" * 100

    async def test_sending_to_a_client_that_does_not_read_fails(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        async with connect(gateway.url, max_queue=1, compression=None) as client:
            await blue.connection()
            [row] = await operator.get("/session/list")
            path = f"/session/send/{row['id']}"
            sent = 0
            while (answer := await operator.post(path, data=b"x" * 60_000)) == SUCCESS:
                sent += 1
            assert answer["reason"] == "the client reads too slowly"
            for _ in range(sent):
                assert len(await client.recv()) == 60_000
            session = gateway.gateway.sessions.get(row["id"])
            await until(lambda: session and not session.client_is_slow)
            assert await operator.post(path, data=b"again") == SUCCESS


class TestFrontends:
    async def test_paused_frontend_refuses_new_clients_until_resumed(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        [row] = await operator.get("/frontend/list")
        assert row == {"id": f"127-0-0-1-{gateway.port}", "paused": False}
        async with connect(gateway.url) as client:
            served = await blue.connection()
            assert await operator.post(f"/frontend/pause/{row['id']}") == SUCCESS
            assert await operator.post(f"/frontend/pause/{row['id']}") == NO_ACTION
            with pytest.raises(InvalidStatus) as refused:
                await connect(gateway.url)
            assert refused.value.response.status_code == 503
            await client.send("still here")
            assert await served.recv() == "still here"
            assert await operator.post(f"/frontend/resume/{row['id']}") == SUCCESS
            assert await operator.post(f"/frontend/resume/{row['id']}") == NO_ACTION
        async with connect(gateway.url):
            pass
        assert await operator.post("/frontend/pause/nobody") == FAILED
        assert await operator.post("/frontend/resume/nobody") == FAILED

    async def test_frontend_id_is_configurable(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        server = {"frontend": {"address": "127.0.0.1:0", "id": "door"}}
        operator = await start_admin(await start_gateway(blue, server=server))
        assert await operator.get("/frontend/list") == [{"id": "door", "paused": False}]


class TestHealth:
    async def test_serving_gateway_is_alive_and_ready(self, operator: Operator) -> None:
        assert await operator.get("/healthz") == {"status": "alive"}
        ready = {"status": "ready", "reasons": [], "unservedRoutes": []}
        assert await operator.get("/readyz") == ready

    async def test_not_ready_lists_the_reasons(
        self, gateway: RunningGateway, operator: Operator
    ) -> None:
        for backend_id in ("blue", "green"):
            await operator.post(f"/backend/disable/{backend_id}")
        await operator.post(f"/frontend/pause/127-0-0-1-{gateway.port}")
        answer = await operator.call("GET", "/readyz")
        assert answer.status == 503
        assert answer.json == {
            "status": "not ready",
            "reasons": [
                "all frontends are paused",
                "no backend is enabled, healthy and ready for new clients",
            ],
            "unservedRoutes": [],
        }
        assert (await operator.call("GET", "/healthz")).status == 200

    async def test_ready_when_the_next_client_may_probe_a_backend(
        self, gateway: RunningGateway, operator: Operator
    ) -> None:
        now = asyncio.get_running_loop().time()
        blue, green = (gateway.gateway.pool.find(each) for each in ("blue", "green"))
        assert blue is not None
        assert green is not None
        while not blue.breaker.tripped:
            blue.failed(now, "refused", unreachable=True)
        green.go_down(now, "its broker is lost")
        assert (await operator.get("/readyz"))["status"] == "ready"

    async def test_not_ready_while_every_backend_asks_for_a_pause(
        self, gateway: RunningGateway, operator: Operator
    ) -> None:
        now = asyncio.get_running_loop().time()
        for backend in gateway.gateway.pool.backends:
            backend.go_down(now, "too many clients", rest=60)
        assert (await operator.call("GET", "/readyz")).status == 503
        gateway.gateway.pool.backends[0].come_up()
        assert (await operator.call("GET", "/readyz")).status == 200

    async def test_health_probes_detect_a_backend_that_is_down(
        self, start_gateway: StartGateway, start_admin: StartAdmin, blue: ScriptedBackend
    ) -> None:
        upstream = {"backends": [{"id": "blue", "url": blue.url}], "health": {"interval": "50ms"}}
        operator = await start_admin(await start_gateway(upstream=upstream))

        async def until_ready(status: int) -> None:
            while (await operator.call("GET", "/readyz")).status != status:  # noqa: ASYNC110 - asked
                await asyncio.sleep(0.02)

        await until_ready(200)
        await blue.down()
        await until_ready(503)
        assert not (await backend_row(operator, "blue"))["healthy"]
        await blue.up()
        await until_ready(200)

    async def test_stopping_gateway_is_not_ready(
        self, gateway: RunningGateway, operator: Operator, blue: ScriptedBackend
    ) -> None:
        async with connect(gateway.url) as client:
            await blue.connection()
            client.transport.pause_reading()  # it does not answer its close
            stopping = asyncio.create_task(gateway.gateway.stop())
            await until(lambda: not gateway.gateway.ready)
            answer = await operator.call("GET", "/readyz")
            assert "the gateway is stopping" in answer.json["reasons"]
            client.transport.abort()
            await stopping
