"""The valve `yjs`: alone, and between editors and failing servers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Awareness, Doc, Provider, create_awareness_message
from websockets.asyncio.client import connect
from wsgw_valves import plugin
from wsgw_valves.yjs.awareness import OwnAwareness
from wsgw_valves.yjs.settings import YjsSettings
from wsgw_valves.yjs.valve import YjsValve

from wsgw_core.api import BINARY, ConfigurationError, Message, SentOnce
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import ServerProcess, broken_servers, until
from .yjs_channel import WebsocketChannel

SERVER = Path(__file__).parent / "yjs_server.py"
STEP_1, UPDATE = b"\x00\x00\x01\x00", b"\x00\x02\x02\x00\x00"


def bench_of(**options: Any) -> ValveBench:
    return ValveBench.of(plugin, "yjs", options)


def said_by(*awarenesses: Awareness) -> bytes:
    """Returns a message of the first client about all of them."""
    teller = awarenesses[0]
    for each in awarenesses[1:]:
        update = each.encode_awareness_update([each.client_id])
        teller.apply_awareness_update(update, "test")
    return create_awareness_message(
        teller.encode_awareness_update([each.client_id for each in awarenesses])
    )


async def test_new_server_gets_last_step_1_and_own_state() -> None:
    own, other = Awareness(Doc()), Awareness(Doc())
    own.set_local_state({"name": "ann"})
    other.set_local_state({"name": "bob", "long": "x" * 300})
    async with bench_of() as bench:
        first, both = said_by(own), said_by(own, other)
        said: list[str | bytes] = [
            b"\x00\x00\x00",
            STEP_1,
            UPDATE,
            first,
            "text",
            said_by(other),
            both,
            b"\x03",
        ]
        assert await bench.to_backend(*said) == said
        assert await bench.fail_over() == [STEP_1, said_by(own)]
        own.set_local_state({"name": "ann", "cursor": 7})
        await bench.to_backend(said_by(own, other), said_by(other))
        assert await bench.fail_over() == [STEP_1, said_by(own)]
        assert await bench.to_client(STEP_1) == [STEP_1]


def test_step_1_goes_to_one_server_once() -> None:
    session = FakeSession()
    valve, message = YjsValve(YjsSettings(), session), Message(BINARY, STEP_1)
    assert valve.hydrate() == []
    assert isinstance(valve.before_transmit(message), SentOnce)
    assert [step.message for step in valve.hydrate()] == [message]
    session.backend_id = None
    valve.before_transmit(message)  # the core sends it to the next server
    assert valve.hydrate() == []
    assert [step.message for step in valve.hydrate()] == [message]


async def test_exceeded_memory_ends_session() -> None:
    async with bench_of(**{"max-remembered-bytes": 300}) as bench:
        await bench.to_backend(*[STEP_1] * 10)
        assert not bench.closed
        await bench.to_backend(STEP_1 + b"\x00" * 100)
        assert bench.closed
        assert (bench.closed.code, bench.closed.reason) == (
            1008,
            "the session needs more than 300 bytes of memory",
        )


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\x01\x01",
        b"\x01\x01\x01",
        b"\x01\x04\x01\x07\x01\x02",
        b"\x01\x05\x01\x07\x01\x00\x00",
        b"\x01\x04\x02\x07\x01\x00",
        b"\x01\x0c\x01" + b"\xff" * 11,
        b"\x01\x00",
    ],
)
def test_invalid_awareness_message_is_not_remembered(data: bytes) -> None:
    own = OwnAwareness()
    own.said(data)
    assert own.message is None


def test_ids_and_sizes_may_have_several_bytes() -> None:
    state = b'"' + b"x" * 198 + b'"'
    entry = b"\xff\xff\xff\xff\xff\xff\xff\x0f" + b"\x80\x01" + b"\xc8\x01" + state
    data = b"\x01\xd5\x01\x01" + entry
    own = OwnAwareness()
    own.said(data)
    assert own.message == data


@given(st.binary())
def test_any_bytes_pass(data: bytes) -> None:
    valve = YjsValve(YjsSettings(), FakeSession())
    for message in (Message(BINARY, data), Message(BINARY, b"\x01" + data)):
        assert valve.before_transmit(message) == message
        assert valve.after_receive(message) is message


def test_invalid_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="max-remembered-bytes"):
        bench_of(**{"max-remembered-bytes": 0})


@asynccontextmanager
async def editing(url: str) -> AsyncIterator[Array[str]]:
    """Edits a list that all editors share."""
    async with connect(f"{url}/document") as connection:
        lines: Array[str] = Array()
        document = Doc({"lines": lines})
        async with Provider(document, WebsocketChannel(connection, "/document")):
            yield lines
            assert connection.close_code is None


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_documents_do_not_diverge_when_servers_fail() -> None:
    command = (sys.executable, str(SERVER), "{port}")
    servers = [ServerProcess(*command), ServerProcess(*command)]
    policy = {"policy": {"kind": "hash", "key": "path"}}
    async with (
        broken_servers(servers, {"kind": "yjs"}, upstream=policy) as breaks,
        AsyncExitStack() as stack,
    ):
        ann, bob = [await stack.enter_async_context(editing(breaks.url)) for _ in range(2)]
        # Written at the other server: the two get it when they move there.
        [other] = breaks.servers.keys() - {breaks.serving}
        async with editing(f"ws://127.0.0.1:{breaks.servers[other].port}") as elsewhere:
            elsewhere.append("cid 0")
        await asyncio.sleep(0.5)  # longer than the replay window: no step 1 is pending
        count = 0

        async def progress() -> None:
            nonlocal count
            count += 1
            ann.append(f"ann {count}")
            bob.append(f"bob {count}")
            lines = 2 * count + (breaks.failovers > 0)
            await until(lambda: len(ann) >= lines and len(bob) >= lines, "both have all lines")
            assert list(ann) == list(bob)

        await breaks.all(progress)
        assert "cid 0" in list(ann)
        async with breaks.drain():
            # A later editor gets the whole document from the server.
            dan = await stack.enter_async_context(editing(breaks.url))
            await until(lambda: len(dan) == len(ann), "the third one has all lines")
        assert (breaks.failovers, breaks.moves) == (4, 4)
