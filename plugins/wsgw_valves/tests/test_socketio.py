"""The valve `socketio`: alone, and with a real client and failing servers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]  # has no type hints
from hypothesis import given
from hypothesis import strategies as st
from wsgw_valves import plugin
from wsgw_valves.socketio.ack_ids import AckIds
from wsgw_valves.socketio.packet import Type, read_packet, with_id

from wsgw_core.api import Close, ConfigurationError, Handshake
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import ServerProcess, broken_servers

SERVER = Path(__file__).parent / "socketio_server.py"
PATH = "/socket.io/?transport=websocket&EIO=4"
OPEN, OPEN_AGAIN = '0{"sid":"a","pingInterval":25000}', '0{"sid":"b","pingInterval":25000}'
CONNECT, CONNECTED, CONNECTED_AGAIN = '40{"token":"t"}', '40{"sid":"c"}', '40{"sid":"d"}'
ROOMS = [{"join": "join", "leave": "leave"}]
OWN = 900_000_000_000_000


def bench_of(path: str = PATH, **options: Any) -> ValveBench:
    return ValveBench.of(
        plugin,
        "socketio",
        {key.replace("_", "-"): value for key, value in options.items()},
        handshake=Handshake(path, (), (), "192.0.2.1:5555"),
    )


async def connect(bench: ValveBench) -> None:
    assert await bench.to_client(OPEN) == [OPEN]
    assert await bench.to_backend(CONNECT) == [CONNECT]
    assert await bench.to_client(CONNECTED) == [CONNECTED]


async def test_unanswered_connect_is_replayed_and_its_answer_passes() -> None:
    async with bench_of() as bench:
        await bench.to_client(OPEN)
        await bench.to_backend(CONNECT)
        assert await bench.fail_over(OPEN_AGAIN) == [CONNECT]
        assert await bench.to_client(CONNECTED) == [CONNECTED]


async def test_client_without_greeting_gets_that_of_next_server() -> None:
    async with bench_of() as bench:
        assert await bench.fail_over(OPEN_AGAIN) == []
        assert [each.text for each in bench.client.received] == [OPEN_AGAIN]


async def test_next_server_accepts_client_unnoticed() -> None:
    async with bench_of() as bench:
        await connect(bench)
        before = len(bench.client.received)
        for _ in range(2):
            assert await bench.fail_over() == []  # the server sends first
            await bench.to_client(OPEN_AGAIN)
            assert bench.heard == [CONNECT]
            await bench.to_client(CONNECTED_AGAIN)
            assert await bench.to_backend('42["x"]') == ['42["x"]']
        assert [each.text for each in bench.client.received[before:]] == ["2", "2"]


async def test_namespaces_are_connected_until_either_side_leaves() -> None:
    names = ["/a", "/b", "/c", "/d"]
    async with bench_of() as bench:
        await bench.to_client(OPEN)
        await bench.to_backend(*(f'40{name}?q,{{"k":1}}' for name in names))
        await bench.to_client(*(f'40{name},{{"sid":"x"}}' for name in names[:3]))
        await bench.to_client('44/d,{"message":"no"}', "41/a,")
        await bench.to_backend("41/b,")
        heard = await bench.fail_over(OPEN_AGAIN, '40/c,{"sid":"y"}')
        assert heard == ['40/c?q,{"k":1}']
        assert await bench.to_backend('40/d,{"k":2}') == ['40/d,{"k":2}']


async def test_server_that_closes_before_connect_answer_is_left() -> None:
    async with bench_of() as bench:
        await connect(bench)
        heard = await bench.fail_over(Close(1000), OPEN_AGAIN, Close(1005), OPEN_AGAIN)
        assert heard == [CONNECT]
        assert bench.failed_hydrations == 2
        assert bench.closed is None


async def test_server_that_refuses_namespace_is_left() -> None:
    async with bench_of() as bench:
        await connect(bench)
        await bench.fail_over(OPEN_AGAIN, '44{"message":"no"}')
        assert bench.failed_hydrations == 1
        assert '44{"message":"no"}' not in [each.text for each in bench.client.received]


async def test_rooms_are_joined_again_until_they_are_left() -> None:
    async with bench_of(rooms=ROOMS) as bench:
        await connect(bench)
        await bench.to_backend(*(f'42{n}["join","{n}"]' for n in (1, 2)))
        await bench.to_backend('42["join","3"]', '42["join","4"]', '42["leave","2"]')
        await bench.to_backend('42["leave","4"]', '42["join",7]', '42["other","5"]')
        await bench.to_client('431["ok"]', '432["ok"]')
        first, second, third = f'42{OWN}["join","1"]', '42["join","3"]', '42["join",7]'
        heard = await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN, f'43{OWN}["ok"]')
        assert heard == [CONNECT, first, second, third]
        texts = [each.text for each in bench.client.received]
        assert texts[-3:] == ['431["ok"]', '432["ok"]', "2"]


async def test_unacknowledged_join_is_replayed() -> None:
    async with bench_of(rooms=ROOMS, wait_for_acks=False) as bench:
        await connect(bench)
        await bench.to_backend('421["join","1"]', '422["other"]')
        heard = await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN)
        assert heard == [CONNECT, '421["join","1"]']
        assert await bench.to_client('431["ok"]') == ['431["ok"]']


async def test_join_without_acknowledgement_reaches_next_server_once() -> None:
    async with bench_of(rooms=ROOMS) as bench:
        await connect(bench)
        bench.backends[0].connections[-1].acknowledge_at_once = False
        assert await bench.to_backend('42["join","1"]', '42["x"]') == ['42["join","1"]', '42["x"]']
        heard = await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN)
        assert heard == [CONNECT, '42["join","1"]', '42["x"]']


async def test_rooms_of_a_namespace_end_with_it() -> None:
    rules = [{"namespace": "/a", "join": "enter", "leave": "exit", "key": "$[0].room"}]
    async with bench_of(rooms=rules) as bench:
        await bench.to_client(OPEN)
        await bench.to_backend("40/a,", '42/a,["enter",{"room":1}]', '42/a,["enter",{"room":2}]')
        await bench.to_client('40/a,{"sid":"x"}')
        await bench.to_backend('42/a,["exit",{"room":2}]', '42/a,["enter","strange"]')
        heard = await bench.fail_over(OPEN_AGAIN, '40/a,{"sid":"y"}')
        assert heard == ["40/a,", '42/a,["enter",{"room":1}]', '42/a,["enter","strange"]']
        await bench.to_backend("41/a,", "40/a,")
        await bench.to_client('40/a,{"sid":"z"}')
        assert await bench.fail_over(OPEN_AGAIN, '40/a,{"sid":"y"}') == ["40/a,"]


async def test_event_is_replayed_until_it_is_acknowledged() -> None:
    async with bench_of() as bench:
        await connect(bench)
        await bench.to_backend('421["a"]', '422["b"]', '42["c"]')
        await bench.to_client('431["ok"]')
        heard = await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN)
        assert heard == [CONNECT, '422["b"]']
        await bench.to_client("432[]")
        assert await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN) == [CONNECT]


async def test_acknowledgements_for_lost_server_are_dropped() -> None:
    async with bench_of() as bench:
        await connect(bench)
        assert await bench.to_client('425["a"]', '426["b"]') == ['425["a"]', '426["b"]']
        assert await bench.to_backend("435[]") == ["435[]"]
        await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN)
        assert await bench.to_client('425["c"]', '420["d"]') == ['4212["c"]', '427["d"]']
        assert await bench.to_backend("436[]", "4312[]", "437[]") == ["435[]", "430[]"]


def attached(head: str, *blobs: bytes) -> list[str | bytes]:
    return [head, *blobs]


async def test_packet_stays_together_with_its_attachments() -> None:
    event = attached('452-1["x",{"_placeholder":true,"num":0}]', b"one", b"two")
    async with bench_of() as bench:
        await connect(bench)
        assert await bench.to_backend(*event[:2]) == []
        assert await bench.to_backend("3", b"two") == event
        answer = attached('461-1[{"_placeholder":true,"num":0}]', b"x")
        assert await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN) == [CONNECT, *event]
        assert await bench.to_client(answer[0], "2") == ["2"]
        assert await bench.to_client(b"x") == answer
        # An incomplete packet of a lost server never reaches the client.
        await bench.to_client(answer[0])
        assert await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN) == [CONNECT]
        assert await bench.to_client('42["y"]', b"alone") == ['42["y"]', b"alone"]


@pytest.mark.parametrize(
    ("options", "packet", "reason"),
    [
        ({"max_attachments": 2}, ['453-["x"]'], "too many attachments"),
        ({"max_attached": 10}, ['451-["x"]', b"123"], "the attachments are too large"),
    ],
)
async def test_exceeded_attachments_close_session(
    options: dict[str, Any], packet: list[str | bytes], reason: str
) -> None:
    for outward in (True, False):
        async with bench_of(**options) as bench:
            await connect(bench)
            await (bench.to_backend if outward else bench.to_client)(*packet)
            assert bench.closed is not None
            assert (bench.closed.code, bench.closed.reason) == (1009, reason)


async def test_exceeded_memory_closes_session() -> None:
    async with bench_of(rooms=ROOMS, max_remembered_bytes=1000) as bench:
        await connect(bench)
        for _ in range(10):
            await bench.to_backend('42["join","1"]', '42["leave","1"]')
            await bench.to_backend("40/a,", "41/a,", '42["join","1"]', '42["join","1"]')
        assert await bench.to_backend("42[]") == ["42[]"]
        await bench.to_backend(*(f'42["join","{number}"]' for number in range(5)))
        assert bench.closed is not None
        assert bench.closed.code == 1008
        assert bench.closed.reason == "the session needs more than 1000 bytes of memory"


async def test_pongs_reach_only_the_server_that_pinged() -> None:
    async with bench_of() as bench:
        await connect(bench)
        assert await bench.to_client("2") == ["2"]
        assert await bench.to_backend("3", "3") == ["3"]
        await bench.to_client("2")
        await bench.fail_over(OPEN_AGAIN, CONNECTED_AGAIN)
        assert await bench.to_backend("3", "3") == []
        await bench.to_client("2")
        assert await bench.to_backend("3") == ["3"]


MALFORMED: list[str | bytes] = [
    "", "4", "47", "4x", "40/", "41/none,", '42"', "42/none,1[]", "43", "439[]", "43/none,9[]",
    "44", '44/none,{"message":"x"}', '42["join"', '42["join",', '42["jo\\u0069n"]', "42[7]",
    '45["x"]', '450-["x"]', "46[]", '42["join"]', b"", b"\xff", "1", "6", "5", "2probe", "9",
    "42" + "9" * 400 + "[]", "45" + "9" * 20 + "-[]",
]  # fmt: skip


async def test_other_messages_pass() -> None:
    async with bench_of(rooms=ROOMS) as bench:
        await connect(bench)
        assert await bench.to_backend(*MALFORMED) == MALFORMED
        assert await bench.to_client(*MALFORMED) == MALFORMED


async def test_text_instead_of_attachment_is_left_to_peer() -> None:
    broken: list[str | bytes] = ['452-["x"]', b"one", '42["y"]', b"two"]
    async with bench_of() as bench:
        await connect(bench)
        assert await bench.to_backend(*broken) == broken
        assert await bench.to_client(*broken) == broken


@pytest.mark.parametrize("query", ["EIO=3", "EIO=4&sid=x", "transport=websocket", ""])
async def test_session_that_cannot_move_passes_unchanged(query: str) -> None:
    async with bench_of(f"/socket.io/?{query}") as bench:
        await connect(bench)
        assert await bench.to_backend("3") == ["3"]
        await bench.fail_over()
        assert await bench.to_client(OPEN_AGAIN) == [OPEN_AGAIN]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rooms": [{}]}, r"rooms\[0\].join: "),
        ({"rooms": [{"join": "a", "key": "$.*"}]}, "finds more than one value"),
        ({"rooms": [{"join": "a", "namespace": "a"}]}, r"rooms\[0\].namespace: "),
        ({"rooms": [{"join": "a\nb"}]}, "invisible characters"),
        ({"rooms": [{"join": "a", "namespace": "/a\nb"}]}, r"rooms\[0\].namespace: "),
        ({"expires": 0}, "expires: "),
    ],
)
async def test_wrong_options_are_reported(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        bench_of(**options)


@given(st.binary() | st.from_regex(rb"4[0-6]([0-9]{1,3}-)?(/[a,?]*,)?[0-9]*[\[{]?"))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    packet = read_packet(data)
    if packet is None or packet.id is None:
        return
    assert packet.type_ in tuple(Type)
    changed = with_id(data, packet, 7)
    again = read_packet(changed)
    assert again is not None
    assert again._replace(body=0) == packet._replace(id=7, body=0)
    assert changed[again.body :] == data[packet.body :]


def test_client_never_sees_same_ack_id_twice() -> None:
    ids = AckIds()
    shown = []
    for _server in range(3):
        shown += [ids.to_client(id_) for id_ in (4, 5, 0)]
        assert [ids.to_server(each) for each in shown[-3:]] == [4, 5, 0]
        ids.change_server()
        assert {ids.to_server(each) for each in shown} == {None}
    assert len(set(shown)) == 9


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_client_notices_no_failure(tmp_path: Path) -> None:
    command = (sys.executable, str(SERVER), "{port}", str(tmp_path / "lines"))
    servers = [ServerProcess(*command), ServerProcess(*command)]
    rules = [{**rule, "namespace": name} for rule in ROOMS for name in ("/", "/admin")]
    seen = {"/": 0, "/admin": 0}
    asked, disconnects, number = 0, 0, 0
    client = socketio.AsyncClient(reconnection=False)

    def on_written(name: str) -> Any:
        async def written(lines: int) -> None:
            seen[name] = lines

        return written

    async def on_asked(_number: int) -> int:
        nonlocal asked
        asked += 1
        return asked

    async def on_disconnect(*_: Any) -> None:
        nonlocal disconnects
        disconnects += 1

    async def progress() -> None:
        nonlocal number
        for name in seen:
            number += 1
            text = str(number)
            assert await client.call("write", text, namespace=name, timeout=30) == text
            number += 1
            blobs = [b"a" * 1000, b"b"]
            answer = await client.call("blob", (number, *blobs), namespace=name, timeout=30)
            assert answer == blobs
        before = asked
        async with asyncio.timeout(30):
            while min(seen.values()) < number or asked == before:  # noqa: ASYNC110 - callbacks change it
                await asyncio.sleep(0.01)

    for name in seen:
        client.on("written", on_written(name), namespace=name)
        client.on("asked", on_asked, namespace=name)
        client.on("disconnect", on_disconnect, namespace=name)
    async with broken_servers(servers, {"kind": "socketio", "rooms": rules}) as breaks:
        await client.connect(
            breaks.url.replace("ws:", "http:"),
            transports=["websocket"],
            namespaces=list(seen),
            auth={"token": "t"},
        )
        for name in seen:
            assert await client.call("join", "lines", namespace=name) == "lines"
        await breaks.all(progress)
        assert disconnects == 0
        await client.disconnect()
        assert (breaks.failovers, breaks.moves) == (2, 1)
        assert breaks.gateway.count("sessions") == 1
    lines = (tmp_path / "lines").read_text().split()
    assert list(dict.fromkeys(map(int, lines))) == list(range(1, number + 1))
