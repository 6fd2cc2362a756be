"""The valve `graphql`: alone, and with a real client and failing servers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from wsgw_valves import plugin
from wsgw_valves.graphql.frame import read_frame
from wsgw_valves.graphql.operation_type import operation_type
from wsgw_valves.graphql.operations import Operations
from wsgw_valves.graphql.settings import GraphqlSettings
from wsgw_valves.session_memory import SessionMemory

from wsgw_core.api import Close, Message
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench
from wsgw_core.testing.virtual_clock import on_virtual_clock

from .breaks import ServerProcess, broken_servers

INIT, ACK = '{"type":"connection_init","payload":{"token":"t"}}', '{"type":"connection_ack"}'
PING, PONG = '{"type":"ping"}', '{"type":"pong"}'
SERVER = Path(__file__).parent / "graphql_server.py"


def bench_of(**options: Any) -> ValveBench:
    return ValveBench.of(
        plugin, "graphql", {key.replace("_", "-"): value for key, value in options.items()}
    )


def subscribe(id_: str, query: str | None = "subscription { a }", **payload: Any) -> str:
    content = {"query": query, **payload} if query is not None else payload
    return json.dumps({"id": id_, "type": "subscribe", "payload": content})


def of_server(type_: str, id_: str, **payload: Any) -> str:
    return json.dumps({"id": id_, "type": type_, **({"payload": payload} if payload else {})})


async def log_in(bench: ValveBench) -> None:
    assert await bench.to_backend(INIT) == [INIT]
    assert await bench.to_client(ACK) == [ACK]


async def test_unanswered_login_is_replayed_and_its_answer_passes() -> None:
    async with bench_of() as bench:
        await bench.to_backend(INIT)
        assert await bench.fail_over() == [INIT]
        assert await bench.to_client(ACK) == [ACK]


async def test_answered_login_is_hydrated_and_its_second_answer_dropped() -> None:
    async with bench_of() as bench:
        await log_in(bench)
        for _ in range(2):
            assert await bench.fail_over() == [INIT]
            assert await bench.to_client(PING, ACK) == [PING]


@on_virtual_clock
async def test_server_that_closes_at_login_is_left_unnoticed() -> None:
    closes = [Close(code) for code in (4401, 4403, 1000, 4500)]
    async with bench_of() as bench:
        await log_in(bench)
        assert await bench.fail_over(*closes, ACK) == [INIT]
        assert bench.failed_hydrations == len(closes)
        assert bench.closed is None
        assert bench.client.texts == [ACK]


@on_virtual_clock
async def test_login_denied_by_two_servers_ends_session() -> None:
    denied = Close(4403, "Forbidden")
    async with bench_of() as bench:
        await log_in(bench)
        await bench.fail_over(denied, ACK)
        await bench.fail_over(denied, ACK)
        assert bench.closed is None
        await bench.fail_over(denied, denied)
        assert bench.closed == denied


async def test_running_subscriptions_are_hydrated_and_new_ones_replayed() -> None:
    running, ended, failed, left, new = (subscribe(id_) for id_ in "12345")
    async with bench_of() as bench:
        await log_in(bench)
        await bench.to_backend(running, ended, failed, left, new)
        nexts = [of_server("next", id_, data={"a": 1}) for id_ in "1234"]
        assert await bench.to_client(*nexts) == nexts
        await bench.to_client(of_server("complete", "2"), of_server("error", "3"))
        await bench.to_backend(of_server("complete", "4"))
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT, running, new]
        await bench.to_client(of_server("next", "5", data={}))
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT, running, new]


async def test_query_is_replayed_until_its_result() -> None:
    query = subscribe("1", "mutation { a }")
    async with bench_of() as bench:
        await log_in(bench)
        await bench.to_backend(query)
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT, query]
        await bench.to_client(of_server("next", "1", data={}), of_server("complete", "1"))
        await bench.fail_over()
        assert await bench.to_client(ACK) == []
        assert bench.heard == [INIT]


@pytest.mark.parametrize(
    ("query", "results", "end"),
    [
        ("mutation { a }", [{"data": {}}], "complete"),
        ("{ a }", [{"data": {}}], "complete"),
        ("{ ... @defer { a } }", [{"data": {}, "hasNext": True}], "error"),
        ("{ ... @defer { a } }", [{"hasNext": True}, {"hasNext": False}], "complete"),
        (None, [{"data": {}}], "error"),
        (None, [{"data": {}, "hasNext": True}, {"hasNext": False}], "complete"),
    ],
)
async def test_query_with_a_result_is_ended_instead_of_run_twice(
    query: str | None, results: list[dict[str, Any]], end: str
) -> None:
    async with bench_of() as bench:
        await log_in(bench)
        await bench.to_backend(subscribe("1", query, extensions={}))
        await bench.to_client(*(of_server("next", "1", **each) for each in results))
        await bench.fail_over()
        [ending] = await bench.to_client(ACK)
        assert bench.heard == [INIT]
        assert (json.loads(ending)["id"], json.loads(ending)["type"]) == ("1", end)
        name = f'wsgw_graphql_interrupted_total{{by="{end}"}}'
        assert samples(bench.context.metrics) == {name: 1}
        await bench.fail_over()
        assert await bench.to_client(ACK) == []


async def test_persisted_operation_with_two_results_is_a_subscription() -> None:
    persisted = subscribe("1", None, extensions={"persistedQuery": {}})
    async with bench_of() as bench:
        await log_in(bench)
        await bench.to_backend(persisted)
        await bench.to_client(*[of_server("next", "1", data={})] * 2)
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT, persisted]


@on_virtual_clock
async def test_quiet_subscription_is_replayed_or_hydrated_but_never_both() -> None:
    quiet = subscribe("1")
    async with bench_of() as bench:
        await log_in(bench)
        await bench.to_backend(quiet)
        for after in (9, 9):  # a replay may be late
            await asyncio.sleep(after)
            assert len(bench.session.ledger) == 1
            assert await bench.fail_over(ACK) == [INIT, quiet]
        await asyncio.sleep(9)
        assert len(bench.session.ledger) == 1
        await asyncio.sleep(2)
        assert len(bench.session.ledger) == 0
        assert await bench.fail_over(ACK) == [INIT, quiet]


@on_virtual_clock
async def test_timer_of_quiet_subscriptions_keeps_no_ended_session() -> None:
    session, settings = FakeSession(), GraphqlSettings()
    clock = asyncio.get_running_loop()
    operations = Operations(session, settings, SessionMemory(10_000), clock)
    operations.begin(b"1", Message.from_text(subscribe("1")))
    freed = weakref.ref(operations)
    del operations
    assert freed() is None
    await asyncio.sleep(settings.quiet_after + 1)


def test_quiet_subscriptions_have_one_timer_that_ends_with_session() -> None:
    clock = Timers()
    session = FakeSession(subprotocol="graphql-transport-ws")
    settings = GraphqlSettings(max_operations=10)
    operations = Operations(session, settings, SessionMemory(100_000), clock)
    for _ in range(100):
        operations.begin(b"1", Message.from_text(subscribe("1")))
        operations.end(b"1")
    assert len(clock.timers) == 1
    clock.fire()
    assert clock.timers == []
    operations.begin(b"1", Message.from_text(subscribe("1")))
    before, session.backend_id = len(session.answers), None
    clock.now += 60
    clock.fire()
    assert clock.timers == []  # the session may have ended
    assert len(session.answers) == before
    operations.replay()
    session.backend_id = "green"
    clock.now += 60
    clock.fire()
    assert session.answers[before:] == [b"1"]
    assert clock.timers == []


class Timers:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Any] = []

    def time(self) -> float:
        return self.now

    def call_later(self, _delay: float, callback: Any, *_args: Any) -> Any:
        self.timers.append(callback)

    def call_soon(self, callback: Any, *args: Any) -> Any:
        raise NotImplementedError

    def fire(self) -> None:
        timers, self.timers = self.timers, []
        for callback in timers:
            callback()


async def test_unanswered_ping_is_replayed() -> None:
    async with bench_of() as bench:
        await log_in(bench)
        assert await bench.to_backend(PING, PING) == [PING, PING]
        await bench.fail_over()
        assert await bench.to_client(ACK, PONG, PONG) == [PONG, PONG]
        assert bench.heard == [INIT, PING]
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT]


async def test_members_are_found_in_any_order_and_spelling() -> None:
    strange = '{"payload":{"query":"subscription{a}"},\n"type":"sub\\u0073cribe","id":"\\u00e9"}'
    async with bench_of() as bench:
        await log_in(bench)
        await bench.to_backend(strange)
        await bench.to_client('{"payload":{"data":{}},"id":"é","type":"next"}')
        assert len(bench.session.ledger) == 0
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT, strange]


MALFORMED: list[str | bytes] = [
    "", "{", "[]", "7", '{"type":7}', '{"type":"subscribe"}', '{"type":"subscribe","id":7}',
    '{"id":"","type":"subscribe"}', '{"type":"next","id":"none"}', '{"type":"complete"}',
    '{"type":"connection_ack"}', PONG, "[" * 5000, '{"type":"error","id":null}',
    '{"id":"7","type":"next"', b"\xff", PING.encode(), '{"type":"mine","id":"x"}',
]  # fmt: skip


async def test_other_messages_pass() -> None:
    async with bench_of() as bench:
        assert await bench.to_backend(*MALFORMED) == MALFORMED
        assert await bench.to_client(*MALFORMED) == MALFORMED


async def test_second_use_of_open_id_is_left_to_backend() -> None:
    twice = [subscribe("1"), subscribe("1", "mutation { a }")]
    async with bench_of() as bench:
        await log_in(bench)
        assert await bench.to_backend(*twice) == twice
        await bench.to_client(of_server("next", "1", data={}))
        await bench.fail_over()
        await bench.to_client(ACK)
        assert bench.heard == [INIT, twice[0]]


async def test_older_protocol_passes_unchanged() -> None:
    login = Message.from_text(INIT)
    for subprotocol, hydrations in (("graphql-ws", 0), ("graphql-transport-ws", 1)):
        session = FakeSession(subprotocol=subprotocol)
        valve: Any = bench_of().valve.for_session(session)
        assert valve.before_transmit(login) == login
        valve.after_receive(Message.from_text(ACK))
        assert len(valve.hydrate()) == hydrations


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("max_operations", 2, "more than 2 open operations"),
        ("max_remembered_bytes", 1000, "the session needs more than 1000 bytes of memory"),
    ],
)
async def test_exceeded_memory_closes_session(option: str, value: int, reason: str) -> None:
    async with bench_of(**{option: value}) as bench:
        await log_in(bench)
        for _ in range(5):
            assert len(await bench.to_backend(subscribe("1"), subscribe("2"))) == 2
            await bench.to_backend(of_server("complete", "1"))
            await bench.to_client(of_server("complete", "2"))
        assert len(await bench.to_backend(*(subscribe(id_) for id_ in "1234"))) < 4
        assert bench.closed is not None
        assert (bench.closed.code, bench.closed.reason) == (1008, reason)


async def test_large_message_is_understood_only_with_type_and_id_first() -> None:
    async with bench_of(max_size=100) as bench:
        await log_in(bench)
        await bench.to_backend(subscribe("1"), subscribe("2"))
        unread = '{"payload":{"data":"' + "x" * 100 + '"},"id":"1","type":"next"}'
        read = '{"id":"2","type":"next","payload":"' + "x" * 100 + '"}'
        assert await bench.to_client(unread) == [unread]
        assert len(bench.session.ledger) == 2
        assert await bench.to_client(read) == [read]
        assert len(bench.session.ledger) == 1


@pytest.mark.parametrize(
    ("document", "name", "found"),
    [
        ("{ a }", None, "query"),
        ("query($a: [I!] = {x: 1}) @d(x: {}) { a }", None, "query"),
        ("# mutation\nfragment F on T { a } subscription S { a }", None, "subscription"),
        ("query A { a } mutation B @A { b } subscription C { c }", "B", "mutation"),
        ("query A { a } mutation @B { b } subscription B { c }", "B", "subscription"),
        ('query A(x: "} subscription B {") { a } mutation B { b }', "B", "mutation"),
        ('query A(x: """} "" \\""" subscription B {""") { a } mutation B { b }', "B", "mutation"),
        ("fragment subscription on T { a }", None, None),
        ("query A { a }", "B", None),
        ("", None, None),
        ('}} " {', None, None),
    ],
)
def test_operation_type_is_found(document: str, name: str | None, found: str | None) -> None:
    assert operation_type(document, name) == found


@pytest.mark.parametrize("part", ['"""\\"""', '"', "{", "}", "query ", "#", '\\"""', "(", "{a}"])
def test_operation_type_takes_linear_time(part: str) -> None:
    begin = time.thread_time()
    operation_type(part * (2**17 // len(part)), "x")
    assert time.thread_time() - begin < 2


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_have_a_type_and_an_id(data: bytes) -> None:
    assert all(isinstance(part, bytes) for part in read_frame(data, 100))


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_client_notices_no_failure(tmp_path: Path) -> None:
    command = (sys.executable, str(SERVER), "{port}", str(tmp_path / "lines"))
    servers = [ServerProcess(*command), ServerProcess(*command)]
    seen, number = 0, 0
    async with broken_servers(servers, {"kind": "graphql"}) as breaks:
        protocols = [WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL]
        transport = WebsocketsTransport(url=breaks.url, subprotocols=protocols)
        async with Client(transport=transport) as client:

            async def watch() -> None:
                nonlocal seen
                async for result in client.subscribe(gql("subscription { written }")):
                    seen = result["written"]

            async def progress() -> None:
                nonlocal number
                for _ in range(3):
                    number += 1
                    document = gql(f'mutation {{ write(text: "{number}") }}')
                    assert await client.execute(document) == {"write": str(number)}
                async with asyncio.timeout(30):
                    while seen < number:
                        assert not watching.done(), watching
                        await asyncio.sleep(0.01)

            watching = asyncio.create_task(watch())
            await breaks.all(progress)
            watching.cancel()
        assert (breaks.failovers, breaks.moves) == (2, 1)
        assert breaks.gateway.count("sessions") == 1
    lines = (tmp_path / "lines").read_text().split()
    assert list(dict.fromkeys(map(int, lines))) == list(range(1, number + 1))


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("codes", ["4401 4403 1000", "4403 4403"])
async def test_client_notices_only_login_denied_by_two_servers(tmp_path: Path, codes: str) -> None:
    lines, denials = tmp_path / "lines", tmp_path / "lines.denials"
    command = (sys.executable, str(SERVER), "{port}", str(lines))
    servers = [ServerProcess(*command), ServerProcess(*command)]
    async with broken_servers(servers, {"kind": "graphql"}) as breaks:
        protocols = [WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL]
        transport = WebsocketsTransport(url=breaks.url, subprotocols=protocols)
        async with Client(transport=transport) as client:
            write = gql('mutation { write(text: "1") }')
            await client.execute(write)
            denials.write_text(codes)
            async with breaks.kill():
                if codes == "4403 4403":
                    with pytest.raises(TransportConnectionFailed) as failed:
                        await client.execute(write)
                    cause = failed.value.__cause__
                    assert isinstance(cause, ConnectionClosed)
                    assert cause.rcvd is not None
                    assert cause.rcvd.code == 4403
                else:
                    assert await client.execute(write) == {"write": "1"}
        assert breaks.gateway.count("sessions") == 1
        assert breaks.gateway.count("hydrations_refused") == (1 if codes == "4403 4403" else 3)
    assert denials.read_text() == ""
