"""What one message can cost: the processor's time while all others wait, and memory afterwards."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from wsgw_valves import plugin

from wsgw_core.api import Handshake, Message
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.long_callbacks import MOST_SECONDS
from wsgw_core.testing.valve_bench import Content, ValveBench

MEBIBYTE = 1024 * 1024 - 100  # with room for what is around it


@dataclass(frozen=True)
class Attack:
    """Messages of one side, and what is said before, in turn: by the client, by the backend."""

    kind: str
    messages: Sequence[Content]
    options: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Content] = ()
    by_backend: bool = False
    path: str = "/"

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Callable[[], float]]:
        """Yields what has all messages said and returns the longest time for one of them."""
        handshake = Handshake(self.path, (), (), "192.0.2.1:5555")
        async with ValveBench.of(plugin, self.kind, self.options, handshake=handshake) as bench:
            for number, content in enumerate(self.before):
                await (bench.to_client if number % 2 else bench.to_backend)(content)
            messages = [as_message(content) for content in self.messages]
            backend = bench.backends[0].connections[0]
            say = backend.reply if self.by_backend else bench.session.client_message

            def run() -> float:
                return max(timed(say, message) for message in messages)

            yield run
            assert bench.closed is None or bench.closed.reason != "internal error"


def timed(say: Callable[[Message], object], message: Message) -> float:
    begin = time.thread_time()
    say(message)
    return time.thread_time() - begin


def fill(unit: Any, size: int = MEBIBYTE) -> Any:
    return unit * (size // len(unit))


def packet(first: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes((first,)) + varint(len(content)) + content


def varint(number: int) -> bytes:
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*made, number))


def text(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def publish(properties: bytes) -> bytes:
    return packet(0x30, text(b"t"), varint(len(properties)), properties)


def awareness(clients: int) -> bytes:
    states = b"".join(varint(client) + b"\0\0" for client in range(1, clients + 1))
    content = varint(clients) + states
    return b"\1" + varint(len(content)) + content


def document(query: str) -> str:
    payload = {"query": query, "operationName": "x"}
    return json.dumps({"id": "1", "type": "subscribe", "payload": payload})


MQTT = (packet(0x10, text(b"MQTT"), b"\5\2\0\x3c\0", text(b"c")), packet(0x20, b"\0\0\0"))
STOMP = ("CONNECT\naccept-version:1.2\n\n\0", "CONNECTED\nversion:1.2\n\n\0")
SOCKET_IO = ("2", '0{"sid":"a"}', "40", "40{}")
SHORT_LISTS = "[" + ",".join(["[]"] * 60_000) + "]"

# Functions, as processes that run other tests need not make these megabytes.
SLOW: dict[str, Callable[[], Attack]] = {
    "mqtt, short properties": lambda: Attack("mqtt", [fill(publish(b"\1\0" * 999))], before=MQTT),
    "mqtt, properties of users": lambda: Attack(
        "mqtt", [fill(publish(b"\x26\0\0\0\0" * 999))], before=MQTT
    ),
    "mqtt, properties of a broker": lambda: Attack(
        "mqtt", [fill(publish(b"\x26\0\0\0\0" * 999))], before=MQTT, by_backend=True
    ),
    "mqtt, subscriptions": lambda: Attack(
        "mqtt", [packet(0x82, b"\0\1\0", fill(text(b"a") + b"\0"))], before=MQTT
    ),
    "mqtt, ends of subscriptions": lambda: Attack(
        "mqtt", [packet(0xA2, b"\0\1\0", fill(text(b"a")))], before=MQTT
    ),
    "mqtt, packets that want answers": lambda: Attack(
        "mqtt",
        [b"".join(packet(0x32, b"\0\0", id_.to_bytes(2, "big"), b"\0") for id_ in range(1, 4096))],
        before=MQTT,
    ),
    "stomp, heart-beats before a large frame": lambda: Attack(
        "stomp", ["SEND\n\n\0\n" * 2040 + "SEND\n\n" + "x" * 1_000_000], before=STOMP
    ),
    "stomp, short headers": lambda: Attack(
        "stomp", [fill("SEND\nreceipt:1\n" + "a:\n" * 21_000 + "\n\0")], before=STOMP
    ),
    "stomp, escapes": lambda: Attack(
        "stomp", [fill("SEND\nreceipt:1\na:" + "\\c" * 30_000 + "\n\n\0")], before=STOMP
    ),
    "stomp, lines without a colon": lambda: Attack(
        "stomp", ["SEND\nreceipt:1\n" + "a\r" * 30_000 + "\n\n\0"], before=STOMP
    ),
    "stomp, frames": lambda: Attack("stomp", ["SEND\n\n\0" * 4096], before=STOMP),
    "graphql, brackets": lambda: Attack("graphql", [document(fill("{"))]),
    "graphql, words": lambda: Attack("graphql", [document(fill("a "))]),
    "yjs, clients": lambda: Attack("yjs", [awareness(1), awareness(180_000)]),
}
KEPT: dict[str, Callable[[], Attack]] = {
    "mqtt, subscriptions": lambda: Attack(
        "mqtt",
        [packet(0x82, b"\0\1\0", (text(b"a") + b"\0") * 900)],
        before=MQTT,
    ),
    "mqtt, ends of subscriptions": lambda: Attack(
        "mqtt", [packet(0xA2, b"\0\1\0", fill(text(b"a"), 250_000))], before=MQTT
    ),
    "stomp, short headers": lambda: Attack(
        "stomp",
        [
            f"SUBSCRIBE\nid:{id_}\n" + "".join(f"{name}:\n" for name in range(9000)) + "\n\0"
            for id_ in range(4)
        ],
        before=STOMP,
    ),
    "stomp, subscriptions before the broker has answered": lambda: Attack(
        "stomp",
        [STOMP[0], *(f"UNSUBSCRIBE\nid:{id_}{'x' * 10_000}\n\n\0" for id_ in range(100))],
    ),
    "jsonrpc, ids of the backend": lambda: Attack(
        "jsonrpc",
        [f'{{"method":"a","id":"{id_}{"x" * 100_000}"}}' for id_ in range(100)],
        by_backend=True,
    ),
    "jsonrpc, calls in batches": lambda: Attack(
        "jsonrpc",
        [
            "[" + ",".join(f'{{"method":"a","id":"{batch}-{id_}"}}' for id_ in range(9000)) + "]"
            for batch in range(9)
        ],
    ),
    "jsonrpc, a batch": lambda: Attack(
        "jsonrpc",
        ["[" + ",".join(f'{{"method":"a","id":{id_}}}' for id_ in range(30_000)) + "]"],
    ),
    "jsonrpc, a login": lambda: Attack(
        "jsonrpc",
        ['{"id":1,"method":"login","params":' + SHORT_LISTS + "}"],
        options={"logins": ["login"]},
    ),
    "jsonrpc, a subscription": lambda: Attack(
        "jsonrpc",
        ['{"id":1,"method":"on","params":[1],"x":' + SHORT_LISTS + "}"],
        options={"subscriptions": [{"subscribe": "on"}]},
    ),
    "socketio, events with attachments": lambda: Attack(
        "socketio",
        [
            part
            for id_ in range(50)
            for part in (f"451-/{'n' * 200_000},{id_}[]", b"x")
        ],
        before=(*SOCKET_IO, f"40/{'n' * 200_000},", f"40/{'n' * 200_000},{{}}"),
        path="/?EIO=4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
async def test_message_does_not_keep_others_waiting(name: str) -> None:
    async with SLOW[name]().begun() as run:
        assert run() < MOST_SECONDS


@pytest.mark.parametrize("name", KEPT)
async def test_valve_keeps_little_more_than_it_may_remember(name: str) -> None:
    async with KEPT[name]().begun() as run:
        tracemalloc.start()
        try:
            run()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 2 * 1024 * 1024
        finally:
            tracemalloc.stop()


async def test_jsonrpc_ids_of_any_length_lead_answers_to_their_calls() -> None:
    long_id = "x" * 10_000
    answer = json.dumps({"id": long_id, "result": 1})
    async with ValveBench.of(plugin, "jsonrpc", {}) as bench:
        call = json.dumps({"id": long_id, "method": "work"})
        await bench.to_client(call)
        assert await bench.to_backend(answer, answer) == [answer]
        await bench.to_backend(call)
        await bench.to_client(answer)
        await asyncio.sleep(0)
        assert await bench.fail_over() == []
