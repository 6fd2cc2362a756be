"""Valves report what they keep for a session, for `limits.memory`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from wsgw_valves import plugin
from wsgw_valves.asked_calls import AskedCalls
from wsgw_valves.jsonrpc.batches import Batches

from wsgw_core.api import Handshake
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import TIMEOUT
from .conftest import StartGateway

MIB = 1024 * 1024
OPTIONS: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 1}
SHARE = 200  # bytes of an entry besides its content
IDENTIFIER = 70  # bytes of an MQTT packet identifier
CONNECT = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x05\x00\x03ann"
CONNACK = b"\x20\x02\x00\x00"
STOMP_CONNECT, STOMP_CONNECTED = "CONNECT\n\n\0", "CONNECTED\nversion:1.2\n\n\0"


def bench_of(kind: str, path: str = "/", **options: Any) -> ValveBench:
    return ValveBench.of(
        plugin,
        kind,
        {key.replace("_", "-"): value for key, value in options.items()},
        handshake=Handshake(path, (), (), "192.0.2.1:5555"),
    )


async def test_graphql_reports_open_operations() -> None:
    said = '{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}'
    async with bench_of("graphql") as bench:
        assert bench.lasting_bytes == 0
        await bench.to_backend(said)
        assert bench.lasting_bytes == len(said) + SHARE
        await bench.to_client('{"id":"1","type":"complete"}')
        assert bench.lasting_bytes == 0


async def test_actioncable_reports_subscriptions() -> None:
    said = '{"command":"subscribe","identifier":"A"}'
    async with bench_of("actioncable") as bench:
        await bench.to_backend(said)
        assert bench.lasting_bytes == len(said) + SHARE
        await bench.to_backend('{"command":"unsubscribe","identifier":"A"}')
        assert bench.lasting_bytes == 0


async def test_jsonrpc_reports_subscriptions_and_the_ids_of_open_calls() -> None:
    on = '{"id":1,"method":"on","params":["a"]}'
    async with bench_of(
        "jsonrpc", subscriptions=[{"subscribe": "on", "unsubscribe": "off"}]
    ) as bench:
        await bench.to_backend(on)
        await bench.to_client('{"id":1,"result":7}')
        kept = bench.lasting_bytes
        assert kept > len(on)
        await bench.to_backend('[{"id":20,"method":"a"},{"id":"x","method":"b"}]')
        assert bench.lasting_bytes == kept + len('20"x"') + 2 * SHARE
        await bench.to_client('{"id":20,"result":1}', '{"id":"x","result":2}')
        assert bench.lasting_bytes == kept
        await bench.to_client('{"id":300,"method":"c"}')
        assert bench.lasting_bytes == kept + len("300") + SHARE
        await bench.to_backend('{"id":300,"result":3}')
        assert bench.lasting_bytes == kept
        await bench.to_backend('{"id":4,"method":"off","params":["a"]}')
        assert bench.lasting_bytes == 0


async def test_mqtt_reports_its_state_incomplete_packets_and_identifiers() -> None:
    async with bench_of("mqtt") as bench:
        await bench.to_backend(CONNECT)
        await bench.to_client(CONNACK)
        kept = bench.lasting_bytes
        assert kept == len(CONNECT) + SHARE
        await bench.to_backend(b"\x32\x06\x00\x01a\x00\x01x")  # PUBLISH, QoS 1
        assert bench.lasting_bytes == kept + IDENTIFIER
        await bench.to_client(b"\x40\x02\x00\x01")
        assert bench.lasting_bytes == kept
        await bench.to_backend(b"\x34\x06\x00\x01a\x00\x02x")  # PUBLISH, QoS 2
        assert bench.lasting_bytes == kept + 8 + SHARE + IDENTIFIER
        await bench.to_client(b"\x50\x02\x00\x02")
        assert bench.lasting_bytes == kept + 8 + SHARE + IDENTIFIER
        await bench.to_backend(b"\x62\x02\x00\x02")
        await bench.to_client(b"\x70\x02\x00\x02")
        assert bench.lasting_bytes == kept
        await bench.to_client(b"\x32\x06\x00\x01a\x00\x03x")
        assert bench.lasting_bytes == kept + IDENTIFIER
        await bench.to_backend(b"\x40\x02\x00\x03")
        assert bench.lasting_bytes == kept
        await bench.to_backend(b"\x30\x05\x00")
        await bench.to_client(b"\x30\x05")
        assert (bench.held_bytes, bench.held_from_backend, bench.lasting_bytes) == (5, 2, kept)
        await bench.to_backend(b"\x01axx")
        await bench.to_client(b"\x00\x01axx")
        assert (bench.held_bytes, bench.lasting_bytes) == (0, kept)


async def test_ocpp_reports_the_ids_of_open_calls() -> None:
    async with bench_of("ocpp", max_calls=2) as bench:
        await bench.to_client(*(f'[2,"{id_}","Reset",{{}}]' for id_ in ("a", "bb", "bb", "ccc")))
        assert bench.lasting_bytes == len("bbccc") + 2 * SHARE
        await bench.to_backend('[3,"a",{}]', '[3,"bb",{}]')
        assert bench.lasting_bytes == len("ccc") + SHARE
        await bench.fail_over()
        assert bench.lasting_bytes == 0


async def test_remember_reports_messages_with_their_keys() -> None:
    rule = {
        "remember": "^SUB ",
        "key": r"^SUB (\S+)",
        "forget": "^UNSUB ",
        "forget-key": r"B (\S+)",
    }
    async with bench_of("remember", rules=[rule]) as bench:
        await bench.to_backend("SUB a")
        assert bench.lasting_bytes == len("SUB a") + len("a") + SHARE
        await bench.to_backend("UNSUB a")
        assert bench.lasting_bytes == 0


@pytest.mark.parametrize("direction", ["to_backend", "to_client"])
async def test_socketio_reports_attachments_of_an_incomplete_packet(direction: str) -> None:
    async with bench_of("socketio", "/socket.io/?EIO=4&transport=websocket") as bench:
        send = getattr(bench, direction)
        event = '452-["file",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        await send(event, b"x" * 5000)
        assert bench.held_bytes == len(event) + 5000 + 2 * SHARE
        assert bench.held_from_backend == (bench.held_bytes if direction == "to_client" else 0)
        assert len(await send(b"y" * 7000)) == 3
        assert bench.held_bytes == bench.lasting_bytes == 0


async def test_clients_with_incomplete_attachments_are_paused_in_turns_and_lose_nothing(
    start_gateway: StartGateway,
) -> None:
    most, clients, attachments = 2 * MIB, 8, 20
    event = f'45{attachments}-["file"]'
    got: list[int] = []
    came = asyncio.Event()  # all of them

    async def serve_one(connection: ServerConnection) -> None:
        async for message in connection:
            got.append(len(message))
            if len(got) == clients * (attachments + 1):
                came.set()

    async def send_all(client: ClientConnection) -> None:
        await client.send(event)
        for _ in range(attachments):
            await client.send(bytes(64 * 1024))
            await asyncio.sleep(0.02)  # so that the gateway looks several times meanwhile

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(serve_one, "127.0.0.1", 0, **OPTIONS))
        port = server.sockets[0].getsockname()[1]
        gateway = await start_gateway(
            upstream={"backends": [{"url": f"ws://127.0.0.1:{port}"}]},
            valves=[{"kind": "socketio"}],
            limits={"memory": most, "close-timeout": "1s"},
        )
        url = f"{gateway.url}/socket.io/?EIO=4&transport=websocket"
        connected = [
            await stack.enter_async_context(connect(url, **OPTIONS)) for _ in range(clients)
        ]
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*map(send_all, connected))
            await came.wait()
        assert gateway.count("memory_holds") > 0
        assert sorted(got) == sorted([len(event), *[64 * 1024] * attachments] * clients)


async def test_socketio_reports_namespaces_and_attachments_without_acknowledgement() -> None:
    async with bench_of("socketio", "/socket.io/?EIO=4&transport=websocket") as bench:
        await bench.to_backend("40")
        await bench.to_client("40{}")
        assert bench.lasting_bytes == len("40") + SHARE
        await bench.to_backend('451-7["file",{"_placeholder":true,"num":0}]', b"x")
        assert bench.lasting_bytes == len("40") + 2 * SHARE
        await bench.to_client("437[]")
        assert bench.lasting_bytes == len("40") + SHARE
        await bench.to_backend("41")
        assert bench.lasting_bytes == 0


async def test_stomp_reports_its_state_incomplete_frames_and_transactions() -> None:
    async with bench_of("stomp") as bench:
        await bench.to_backend(STOMP_CONNECT)
        await bench.to_client(STOMP_CONNECTED)
        kept = bench.lasting_bytes
        assert kept > SHARE
        subscribe = "SUBSCRIBE\nid:1\ndestination:/q\n\n\0"
        await bench.to_backend(subscribe)
        assert bench.lasting_bytes == kept + len(subscribe) + SHARE
        await bench.to_backend("UNSUBSCRIBE\nid:1\n\n\0")
        assert bench.lasting_bytes == kept
        await bench.to_backend("BEGIN\ntransaction:t\n\n\0")
        assert bench.lasting_bytes == kept + SHARE
        await bench.to_backend("COMMIT\ntransaction:t\n\n\0")
        assert bench.lasting_bytes == kept
        await bench.to_backend("SEND\n")
        await bench.to_client("MESSAGE\n")
        assert (bench.held_bytes, bench.lasting_bytes) == (len("SEND\nMESSAGE\n"), kept)
        assert bench.held_from_backend == len("MESSAGE\n")
        await bench.to_backend("destination:/q\n\n\0")
        await bench.to_client("subscription:1\n\n\0")
        assert (bench.held_bytes, bench.lasting_bytes) == (0, kept)


async def test_yjs_reports_only_the_last_step_1() -> None:
    async with bench_of("yjs") as bench:
        await bench.to_backend(b"\x00\x00\x05" + b"x" * 5)
        assert bench.lasting_bytes == 8 + SHARE
        await bench.to_backend(b"\x00\x00\x01\x00")
        assert bench.lasting_bytes == 4 + SHARE


async def test_valve_that_keeps_nothing_reports_nothing() -> None:
    async with bench_of("rate-limit", messages=10) as bench:
        await bench.to_backend("a")
        assert bench.lasting_bytes == 0


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=2))), st.integers(1, 3))
def test_bytes_of_asked_calls_are_zero_when_all_are_answered(
    said: list[tuple[bool, bytes]], most: int
) -> None:
    calls = AskedCalls(most)
    for asks, id_ in said:
        if asks:
            calls.add(id_)
        else:
            calls.answer(id_)
        assert 0 <= calls.bytes <= most * (2 + SHARE)
    for _, id_ in said:
        calls.answer(id_)
    assert calls.bytes == 0


@given(st.lists(st.lists(st.binary(max_size=2), min_size=1)), st.integers(1, 3))
def test_bytes_of_batches_are_zero_when_all_are_answered_or_forgotten(
    added: list[list[bytes]], most: int
) -> None:
    batches = Batches(most)
    for ids in added:
        batches.add(ids)
        assert batches.bytes > 0
    distinct = [b"%d" % number for number in range(1000, 1000 + most)]
    for id_ in distinct:  # forgets all others
        batches.add([id_])
    assert batches.bytes == most * (4 + SHARE)
    for id_ in distinct:
        batches.answered(id_)
    assert batches.bytes == 0
