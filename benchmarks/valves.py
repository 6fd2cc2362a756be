"""Processor time that valves add to a message: a session in memory, with and without them.

usage: valves.py [MESSAGES]

Messages are JSON of 256 bytes. Each figure is the best of several rounds; a valve's figure is what
the valve adds. If a protocol has answers, calls of 256 bytes are answered, and the figure is the
cost of a message, which is a call or an answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsgw_valves import plugin

from wsgw_core import api
from wsgw_core.api import BINARY, Handshake, Message, MessageValve, Options, per_session
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.relay.session.session import Session
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.fakes import FakeBackend, FakeClient
from wsgw_core.testing.registered_plugin import RegisteredPlugin
from wsgw_core.testing.session_context import make_session_context, pooled

ROUNDS = 15
AT_ONCE = 100
CALL = {"id": 4711, "type": "say", "room": "lobby", "user": {"name": "ann", "token": "abc"}}
MESSAGE = Message.from_text(json.dumps({**CALL, "text": "x" * 159}))
SCHEMA = {
    "type": "object",
    "required": ["id", "type", "text"],
    "properties": {
        "id": {"type": "integer"},
        "type": {"enum": ["join", "say", "leave"]},
        "text": {"type": "string", "maxLength": 1000, "pattern": "^[^<>]*$"},
        "user": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}
RULES = [
    {"remember": {"$.type": "login"}, "answer": {"$.type": "welcome"}},
    {"remember": {"$.type": "say"}, "key": "$.room", "forget": {"$.type": "leave"}},
]


class Traffic(NamedTuple):
    """Messages that are sent repeatedly; as many as may be in flight at once."""

    calls: Sequence[Message]
    answers: Sequence[Message] = ()
    opening: Sequence[Message] = ()  # once, before the measurement
    path: str = "/"  # the client's handshake


SAID = Traffic([MESSAGE] * AT_ONCE)


def answered(call: Callable[[str, str], Any], *answers: Callable[[str], Any]) -> Traffic:
    """Returns calls of 256 bytes, each with its own id, and their answers.

    Args:
        call: makes a call from an id and a text.
        answers: each makes an answer from an id.
    """
    ids = [f"call-{number:04}" for number in range(AT_ONCE)]
    room = 256 - len(json.dumps(call(ids[0], "")))
    return Traffic(
        [Message.from_text(json.dumps(call(each, "x" * room))) for each in ids],
        [Message.from_text(json.dumps(answer(each))) for each in ids for answer in answers],
    )


def published(quality: int) -> Traffic:
    """Returns MQTT messages of 256 bytes, and PUBACKs if they have a quality of service of 1."""
    ids = [number.to_bytes(2, "big") for number in range(1, AT_ONCE + 1)]
    room = b"x" * (256 - 3 - 12 - 2 * quality)
    head = bytes((0x30 | quality << 1, 0xFD, 1)) + b"\0\x0aroom/lobby"
    calls = [Message(BINARY, head + each[: 2 * quality] + room) for each in ids]
    answers = [Message(BINARY, b"\x40\2" + each) for each in ids if quality]
    connect = Message(BINARY, b"\x10\x0f\0\4MQTT\4\2\0\x3c\0\3ann")
    return Traffic(calls, answers, [connect])


def acknowledged() -> Traffic:
    """Returns events of 256 bytes and their acknowledgements, in a namespace with rooms."""
    ids = range(1000, 1000 + AT_ONCE)
    events = [f'42{each}["say",{json.dumps("x" * 239)}]' for each in ids]
    acks = [f'43{each}["ok"]' for each in ids]
    return Traffic(
        [Message.from_text(text) for text in events],
        [Message.from_text(text) for text in acks],
        path="/socket.io/?EIO=4&transport=websocket",
        opening=[Message.from_text("40")],
    )


def sent(*, with_receipts: bool) -> Traffic:
    """Returns STOMP messages of 256 bytes, and receipts if they ask for them."""
    ids = [f"{number:04}" for number in range(AT_ONCE)]
    asked = "receipt:{}\n" if with_receipts else ""
    head = "SEND\ndestination:/topic/lobby\ncontent-type:text/plain\n" + asked + "\n"
    calls = [head.format(each).ljust(255, "x") + "\0" for each in ids]
    answers = [f"RECEIPT\nreceipt-id:{each}\n\n\0" for each in ids if with_receipts]
    connect = "CONNECT\naccept-version:1.2\n\n\0"
    return Traffic(
        [Message.from_text(text) for text in calls],
        [Message.from_text(text) for text in answers],
        [Message.from_text(connect)],
    )


# About one client, whose state has 247 bytes
CURSOR = Message(BINARY, b"\x01\xfd\x01\x01\x88\x77\x01\xf7\x01".ljust(256, b"x"))

TRAFFIC = {
    "actioncable, both directions": answered(
        lambda id_, text: {"command": "message", "identifier": "C", "data": id_ + text},
        lambda id_: {"identifier": "C", "message": {"id": id_, "text": "x" * 190}},
    ),
    "mqtt, QoS 0": published(0),
    "mqtt, QoS 1 and PUBACK": published(1),
    "graphql, mutations and results": answered(
        lambda id_, text: {
            "id": id_,
            "type": "subscribe",
            "payload": {
                "query": "mutation($t: ID) { say(text: $t) }",
                "variables": {"t": text},
            },
        },
        lambda id_: {"id": id_, "type": "next", "payload": {"data": {"say": "x" * 190}}},
        lambda id_: {"id": id_, "type": "complete"},
    ),
    "jsonrpc, calls and answers": answered(
        lambda id_, text: {"jsonrpc": "2.0", "id": id_, "method": "say", "params": [text]},
        lambda id_: {"jsonrpc": "2.0", "id": id_, "result": True},
    ),
    "socketio, events and acks": acknowledged(),
    "ocpp, calls and answers": answered(
        lambda id_, text: [2, id_, "DataTransfer", {"vendorId": "acme", "data": text}],
        lambda id_: [3, id_, {"status": "Accepted"}],
    ),
    "stomp, SEND": sent(with_receipts=False),
    "stomp, SEND and RECEIPT": sent(with_receipts=True),
    "yjs, awareness": Traffic([CURSOR] * AT_ONCE),
}


def ready_made(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns entries of `valves` by their names in the table."""
    schema = folder / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    log = {"file": str(folder / "messages.log"), "directions": "to-backend"}
    paths, patterns = ["$..token", "$.user.name"], ["[0-9]{13,19}", "(?i)bearer [a-z0-9]+"]
    return {
        "rate-limit, messages and bytes": ("rate-limit", {"messages": 1e9, "bytes": "1000GB"}),
        "actioncable, both directions": ("actioncable", {}),
        "graphql, mutations and results": ("graphql", {}),
        "json-schema": ("json-schema", {"to-backend": str(schema)}),
        "message-log, as it is": ("message-log", log),
        "message-log, two redact-paths": ("message-log", {**log, "redact-paths": paths}),
        "message-log, two redact": ("message-log", {**log, "redact": patterns}),
        "mqtt, QoS 0": ("mqtt", {}),
        "mqtt, QoS 1 and PUBACK": ("mqtt", {}),
        "jsonrpc, calls and answers": ("jsonrpc", {"logins": ["login"]}),
        "ocpp, calls and answers": ("ocpp", {}),
        "remember, two rules": ("remember", {"rules": RULES}),
        "socketio, events and acks": ("socketio", {"rooms": [{"join": "join", "leave": "leave"}]}),
        "stomp, SEND": ("stomp", {}),
        "stomp, SEND and RECEIPT": ("stomp", {}),
        "yjs, awareness": ("yjs", {}),
    }


class Plain:
    """Does nothing."""

    def __init__(self, _options: Options, _session: api.Session) -> None:
        pass

    def before_transmit(self, message: Message) -> Message:
        """Passes a message on."""
        return message

    def after_receive(self, message: Message) -> Message:
        """Passes a message on."""
        return message


class Asynchronous(Plain):
    """Does nothing, asynchronously."""

    async def before_transmit(self, message: Message) -> Message:  # type: ignore[override]  # may be
        """Passes a message on."""
        return message


class Waiting(Plain):
    """Waits for a turn of the event loop."""

    async def before_transmit(self, message: Message) -> Message:  # type: ignore[override]  # may be
        """Passes a message on."""
        await asyncio.sleep(0)
        return message


def configured(made: Callable[[Options, api.Session], MessageValve]) -> tuple[ConfiguredValve, ...]:
    """Returns a chain of one valve."""
    return (ConfiguredValve("measured", per_session(made)(Options(), None)),)


async def opened(kind: str, options: dict[str, Any]) -> tuple[ConfiguredValve, ...]:
    """Returns a chain of one valve of wsgw-valves."""
    valve: Any = RegisteredPlugin(plugin).valve(kind, options, make_plugin_context(kind))
    if hasattr(valve, "open"):
        await valve.open()
    return (ConfiguredValve(kind, valve),)


async def measure(
    valves: tuple[ConfiguredValve, ...], messages: int, traffic: Traffic = SAID
) -> float:
    """Returns microseconds of processor time for each message."""
    calls, answers, opening, path = traffic
    backend = FakeBackend("measured")
    session = Session(
        "session-1",
        Handshake(path, (), (), ""),
        make_session_context([pooled("measured", backend)], valves=valves),
    )
    await session.open()
    session.start(FakeClient())
    connection, feed = backend.connections[0], session.client_message
    for message in opening:
        feed(message)
    connection.acknowledge()
    begin = time.thread_time()
    for _ in range(messages // AT_ONCE):
        for message in calls:
            feed(message)
        while connection.outstanding < AT_ONCE:  # noqa: ASYNC110 - the turns are measured
            await asyncio.sleep(0)
        connection.acknowledge()
        for message in answers:
            connection.reply(message)
    spent = time.thread_time() - begin
    session.close(1000)
    return spent / messages * len(calls) / (len(calls) + len(answers)) * 1e6


async def main(messages: int, folder: Path) -> None:
    """Prints a row for each sort of valve."""
    sorts = {
        "without a valve": (),
        "an empty valve, plain": configured(Plain),
        "an empty valve, asynchronous": configured(Asynchronous),
        "an empty valve, that waits": configured(Waiting),
    }
    for name, (kind, options) in ready_made(folder).items():
        sorts[name] = await opened(kind, options)
    best = dict.fromkeys(sorts, float("inf"))
    bare = dict.fromkeys(TRAFFIC, float("inf"))
    for _ in range(ROUNDS):  # in turns, so that a slow moment affects all
        for name, valves in sorts.items():
            traffic = TRAFFIC.get(name, SAID)
            best[name] = min(best[name], await measure(valves, messages, traffic))
        for name, traffic in TRAFFIC.items():
            bare[name] = min(bare[name], await measure((), messages, traffic))
    base = best.pop("without a valve")
    print(f"{'without a valve':32}  {base:5.2f} us")
    for name, cost in best.items():
        print(f"{name:32}{cost - bare.get(name, base):+7.2f} us")
    for (valve,) in filter(None, sorts.values()):
        if hasattr(valve.valve, "close"):
            await valve.valve.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as found:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 5_000, Path(found)))
