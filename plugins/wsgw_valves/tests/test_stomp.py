"""The valve `stomp`: alone, and between stomp.py and a server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsgw_valves import plugin
from wsgw_valves.stomp.settings import StompSettings

from wsgw_core.api import BINARY, Close, Limits, Message
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import ServerProcess, broken_servers
from .stomp_client import StompClient

SERVER = Path(__file__).parent / "stomp_server.py"


def bench_of(**options: Any) -> ValveBench:
    options = {key.replace("_", "-"): value for key, value in options.items()}
    return ValveBench.of(plugin, "stomp", options)


def frame(command: str, body: str = "", **headers: str | int) -> str:
    lines = [command, *(f"{key.replace('_', '-')}:{value}" for key, value in headers.items())]
    return "\n".join(lines) + f"\n\n{body}\0"


CONNECT = frame("CONNECT", accept_version="1.2", login="ann")
CONNECTED = frame("CONNECTED", version="1.2")
SEND = frame("SEND", "hello", destination="/q/a")
SUBSCRIBE = frame("SUBSCRIBE", id="1", destination="/q/a", ack="client")
UNSUBSCRIBE = frame("UNSUBSCRIBE", id="1")
DISCONNECT = frame("DISCONNECT", receipt="bye")


async def connected(bench: ValveBench) -> None:
    assert await bench.to_backend(CONNECT) == [CONNECT]
    assert await bench.to_client(CONNECTED) == [CONNECTED]


class TestFrames:
    async def test_frames_in_pieces_are_assembled(self) -> None:
        async with bench_of() as bench:
            assert await bench.to_backend(*CONNECT) == [CONNECT]
            assert await bench.to_client(CONNECTED[:13], CONNECTED[13:]) == [CONNECTED]

    async def test_several_in_a_message_keep_their_order(self) -> None:
        body = frame("SEND", "a\0b\0", destination="/q/b", content_length=4)
        async with bench_of() as bench:
            await connected(bench)
            heard = await bench.to_backend(SEND + "\n\r\n" + body + SEND[:9])
            assert heard == [SEND, "\n", body]
            assert await bench.to_backend(SEND[9:] + "\n") == [SEND, "\n"]
            assert await bench.to_backend(body, "\n" + SEND + "\n") == [body, "\n" + SEND + "\n"]
            replies = [frame("MESSAGE", "x"), frame("RECEIPT", receipt_id="1"), "\n"]
            assert await bench.to_client("".join(replies)) == replies

    async def test_binary_messages_stay_binary(self) -> None:
        async with bench_of() as bench:
            await bench.to_backend(CONNECT.encode())
            await bench.to_client(CONNECTED.encode())
            pieces = SEND.encode() * 2
            assert await bench.to_backend(pieces) == [SEND.encode()] * 2
            await bench.fail_over(CONNECTED.encode())
            [_, second] = bench.backends
            assert second.connections[0].received[0] == Message(BINARY, CONNECT.encode())

    async def test_lines_may_end_with_crlf(self) -> None:
        connect = "CONNECT\r\naccept-version:1.2\r\n\r\n\0"
        subscribe = "SUBSCRIBE\r\nid:1\r\ndestination:/q\r\ncontent-length:1\r\n\r\nx\0"
        async with bench_of() as bench:
            assert await bench.to_backend(connect, subscribe) == [connect, subscribe]
            await bench.to_client(CONNECTED)
            assert await bench.fail_over(CONNECTED) == [connect, subscribe]

    async def test_piece_from_lost_broker_is_dropped(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            assert await bench.to_client(frame("MESSAGE", "x")[:-2]) == []
            await bench.fail_over(CONNECTED)
            assert await bench.to_client(frame("MESSAGE", "y")) == [frame("MESSAGE", "y")]

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            (SEND, "a frame before CONNECT, or a second CONNECT"),
            (CONNECT * 2, "a frame before CONNECT, or a second CONNECT"),
            (CONNECT + DISCONNECT + SEND, "a frame after DISCONNECT"),
            (CONNECT + frame("MESSAGE"), "not a command of a client"),
            (CONNECT + "SEND\0", "a frame without an end of its headers"),
            ("\0", "a frame without an end of its headers"),
            (CONNECT + "x" * 1000, "a frame whose headers are too long"),
            (CONNECT + "SEND\n\n" + "x" * 1000, "a frame of more than 1000 bytes"),
            (CONNECT + "SEND\ncontent-length:5000\n\n", "a frame of more than 1000 bytes"),
            (
                CONNECT + "SEND\ncontent-length:1\n\nxx\0",
                "a frame is longer than its content-length",
            ),
            (CONNECT + "\nSEND\n\n\0" * 2100, "more than 4096 frames in a message"),
            (CONNECT + frame("SEND", receipt="a\\t"), "a header with an unknown escape"),
            (CONNECT + "ACK\nid\n\n\0", "a header without a colon"),
            (CONNECT + frame("ACK"), "an acknowledgement without an id"),
            (CONNECT + frame("BEGIN"), "a transaction without a name"),
        ],
    )
    async def test_invalid_frame_ends_session(self, said: str, problem: str) -> None:
        async with bench_of(max_frame_size=1000) as bench:
            await bench.to_backend(said)
            assert bench.closed is not None
            assert (bench.closed.code, bench.closed.reason) == (1008, problem)
            assert samples(bench.context.metrics)['wsgw_stomp_closed_total{why="malformed"}'] == 1

    async def test_invalid_frame_of_broker_ends_session(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_client(frame("SEND"))
            assert bench.closed is not None
            assert bench.closed.code == 1011
            assert bench.closed.reason == "from the broker: not a command of a broker"

    async def test_frame_in_many_pieces_takes_linear_time(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            begin = time.thread_time()
            for data in ("SEND\n" + "a" * 60_000, "\n\n", "x" * 200_000, "\0"):
                for start in range(0, len(data), 50):
                    bench.session.client_message(Message.from_text(data[start : start + 50]))
            assert time.thread_time() - begin < 2
            assert bench.closed is None

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.text(max_size=40)
            | st.sampled_from(
                (SEND, SUBSCRIBE, UNSUBSCRIBE, CONNECTED, "\n", "\0", "ACK\nid:1\n\n")
            ),
            max_size=6,
        ),
        st.booleans(),
    )
    def test_any_input_raises_no_other_error(self, said: Sequence[str], by_broker: bool) -> None:
        async def say() -> None:
            async with bench_of() as bench:
                await connected(bench)
                await (bench.to_client if by_broker else bench.to_backend)(*said)
                assert bench.closed is None or bench.closed.reason != "internal error"

        asyncio.run(say())


class TestNewBroker:
    async def test_new_broker_gets_subscriptions_that_have_not_ended(self) -> None:
        second = frame("SUBSCRIBE", id="2", destination="/q/b")
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(SUBSCRIBE, second, UNSUBSCRIBE, SEND)
            count = len(bench.client.received)
            assert await bench.fail_over(CONNECTED) == [CONNECT, second]
            assert len(bench.client.received) == count
            assert await bench.to_backend(SUBSCRIBE) == [SUBSCRIBE]
            assert await bench.fail_over(CONNECTED) == [CONNECT, second, SUBSCRIBE]

    async def test_frame_that_asks_for_receipt_is_replayed_until_receipt(self) -> None:
        subscribe = frame("SUBSCRIBE", id="1", destination="/q/a", receipt="a\\cb")
        unsubscribe = frame("UNSUBSCRIBE", id="1", receipt="c")
        send = frame("SEND", destination="/q/a", receipt="d")
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(subscribe)
            assert await bench.fail_over(CONNECTED) == [CONNECT, subscribe]
            receipt = frame("RECEIPT", receipt_id="a\\cb")
            assert await bench.to_client(receipt) == [receipt]
            await bench.to_backend(send, unsubscribe)
            count = len(bench.client.received)
            replies = CONNECTED, receipt
            assert await bench.fail_over(*replies) == [CONNECT, subscribe, send, unsubscribe]
            assert len(bench.client.received) == count
            await bench.to_client(
                frame("RECEIPT", receipt_id="d"), frame("RECEIPT", receipt_id="c")
            )
            assert await bench.fail_over(CONNECTED) == [CONNECT]

    async def test_broker_that_closes_before_connected_has_refused(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            assert await bench.fail_over(Close(1000), Close(1002), CONNECTED) == [CONNECT]
            assert bench.failed_hydrations == 2
            assert bench.closed is None

    async def test_frames_before_connected_are_replayed_or_hydrated(self) -> None:
        async with bench_of() as bench:
            await bench.to_backend(CONNECT, SUBSCRIBE)
            assert await bench.fail_over() == [CONNECT, SUBSCRIBE]
            assert await bench.to_client(CONNECTED) == [CONNECTED]
            assert await bench.fail_over(CONNECTED) == [CONNECT, SUBSCRIBE]

    async def test_messages_pass_during_hydration(self) -> None:
        subscribe = frame("SUBSCRIBE", id="1", destination="/q/a", receipt="r")
        receipt = frame("RECEIPT", receipt_id="r")
        message = frame("MESSAGE", "x", subscription="1", message_id="m")
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(subscribe)
            await bench.to_client(receipt)
            count = len(bench.client.received)
            await bench.fail_over(
                "\n" + CONNECTED + message, frame("RECEIPT", receipt_id="s"), receipt + "\n"
            )
            heard = [each.text for each in bench.client.received[count:]]
            assert heard == ["\n", message, frame("RECEIPT", receipt_id="s")]

    @pytest.mark.parametrize(
        "reply",
        [
            frame("ERROR", message="no"),
            frame("ERROR", message="n\\o"),
            frame("CONNECTED", version="1.1"),
            "CONNECTED\nversion\n\n\0",
        ],
    )
    async def test_broker_that_refuses_client_is_left(self, reply: str) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await bench.fail_over(reply)
            assert bench.failed_hydrations == 1
            assert bench.closed is None

    async def test_acknowledgements_reach_no_other_broker(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(SUBSCRIBE, frame("SUBSCRIBE", id="auto", destination="/q/b"))
            await bench.to_client(frame("MESSAGE", subscription="1", message_id="m", ack="a\\c7"))
            ack, nack = frame("ACK", id="a\\c7"), frame("NACK", message_id="m", id="a\\c7")
            assert await bench.to_backend(ack) == [ack]
            await bench.fail_over(CONNECTED)
            assert await bench.to_backend(ack, nack) == []
            own = frame("MESSAGE", "a\nack:b", subscription="1", message_id="m", ack="a\\c7")
            other = frame("MESSAGE", subscription="auto", message_id="m")
            seen = own.replace("ack:a", "ack:wsgw1.a")
            assert await bench.to_client(own, other) == [seen, other]
            assert await bench.to_backend(frame("ACK", id="wsgw1.a\\c7")) == [ack]
            await bench.fail_over(CONNECTED)
            assert await bench.to_backend(frame("ACK", id="wsgw1.a\\c7")) == []
            old = frame("MESSAGE", subscription="1", message_id="m")  # STOMP 1.1
            assert await bench.to_client(old) == [old.replace("id:m", "id:wsgw2.m")]
            older = frame("ACK", subscription="1", message_id="wsgw2.m")
            assert await bench.to_backend(older) == [older.replace("wsgw2.", "")]

    async def test_client_with_open_transaction_must_reconnect(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(
                frame("BEGIN", transaction="a"),
                frame("COMMIT", transaction="a"),
                frame("BEGIN", transaction="b"),
            )
            first, second = bench.backends
            first.connections[0].drop()
            await bench.client.until_closed()
            assert bench.closed is not None
            assert (bench.closed.code, bench.closed.reason) == (1012, "a transaction is open")
            assert not second.connections[0].received


class TestEnd:
    async def test_broker_may_end_after_goodbye(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            assert await bench.to_backend(SEND + DISCONNECT) == [SEND, DISCONNECT]
            bench.backends[0].connections[0].drop()
            await bench.client.until_closed()
            assert bench.closed is not None
            assert bench.closed.code == 1000
            assert not bench.backends[1].connections

    async def test_error_frame_ends_session(self) -> None:
        error = frame("ERROR", message="no")
        async with bench_of() as bench:
            await connected(bench)
            assert await bench.to_client(error) == [error]
            assert bench.closed is not None
            assert bench.closed.code == 1000

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            (
                "".join(frame("SUBSCRIBE", id=n, destination="/q", receipt=n) for n in range(3)),
                "more than 2 subscriptions",
            ),
            (
                frame("SUBSCRIBE", id="1", destination="/" + "q" * 1000),
                "the session needs more than 1024 bytes of memory",
            ),
            (
                "".join(frame("BEGIN", transaction=n) for n in range(101)),
                "more than 100 transactions",
            ),
        ],
    )
    async def test_exceeded_memory_closes_session(self, said: str, problem: str) -> None:
        async with bench_of(max_remembered_bytes=1024, max_subscriptions=2) as bench:
            await connected(bench)
            await bench.to_backend(said)
            assert bench.closed is not None
            assert (bench.closed.code, bench.closed.reason) == (1008, problem)
            assert samples(bench.context.metrics)['wsgw_stomp_closed_total{why="too-much"}'] == 1

    async def test_memory_is_freed(self) -> None:
        async with bench_of(max_remembered_bytes=1024, max_subscriptions=2) as bench:
            await connected(bench)
            for _ in range(10):
                await bench.to_backend(SUBSCRIBE, SUBSCRIBE, UNSUBSCRIBE)
                await bench.to_backend(
                    frame("SUBSCRIBE", id="2", destination="/q", receipt="r"),
                    frame("UNSUBSCRIBE", id="2", receipt="s"),
                )
                await bench.to_client(
                    frame("RECEIPT", receipt_id="r"), frame("RECEIPT", receipt_id="s")
                )
            assert bench.closed is None


def test_max_frame_size_above_message_size_gives_warning() -> None:
    options = StompSettings.model_validate({"max-frame-size": 1001})
    assert not list(options.warnings(Limits(max_message_size=1001)))
    assert [key for key, _ in options.warnings(Limits(max_message_size=1000))] == ["max-frame-size"]


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_clients_notice_no_failure_of_their_broker() -> None:
    command = (sys.executable, str(SERVER), "{port}")
    clients = [
        StompClient("acknowledged", "client-individual"),
        StompClient("received", wants_receipts=True),
    ]
    async with broken_servers(
        [ServerProcess(*command), ServerProcess(*command)], {"kind": "stomp"}
    ) as breaks:
        for client in clients:
            await client.start(breaks.url)

        async def progress() -> None:
            await asyncio.gather(*(client.progress() for client in clients))

        await breaks.all(progress)
        await asyncio.gather(*(client.stop() for client in clients))
        assert breaks.failovers >= 2
        assert breaks.moves >= 1
    assert [client.disconnects for client in clients] == [0, 0]
