"""What a plugin's connection raises concerns only its own session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from wsgw_core.api import Close, CloseCode, DialRequest, Message, Sink
from wsgw_core.relay.all_sessions.memory_watch import MemoryWatch
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import FakeBackend, FakeClient, FakeConnection, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench

BOUND = 10_000
ROUNDS = 1.0  # seconds in which there are several rounds of the memory watch


class FaultError(Exception):
    """What the plugin raises."""


class FaultyBackend(FakeBackend):
    """Breaks a method or an attribute of the first connection: `fault` is called instead."""

    def __init__(self, name: str, fault: Callable[[], object], *, numbered: bool = False) -> None:
        super().__init__("blue", numbered=numbered)
        self._broken: tuple[str, Callable[[], object]] | None = (name, fault)

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        connection = await super().connect(request, sink)
        if self._broken is not None:
            (name, fault), self._broken = self._broken, None
            kind = type(connection)
            replaced = property(lambda _: fault())
            connection.__class__ = type("Broken", (kind,), {"faulty": True, name: replaced})
        return connection


def raising() -> Any:
    raise FaultError


def a_raising_method() -> Callable[..., object]:
    def method(*_: object) -> None:
        raise FaultError

    return method


async def bench_of(name: str, fault: Callable[[], object], **options: Any) -> RelayBench:
    return await RelayBench(FaultyBackend(name, fault, **options), FakeBackend("green")).open()


async def other_session(bench: RelayBench) -> tuple[Session, FakeClient]:
    """Opens a second session, at a sound connection of the same backend."""
    session, client = Session("session-2", bench.handshake, bench.context), FakeClient()
    bench.pooled[1].enabled = False
    await session.open()
    bench.pooled[1].enabled = True
    session.start(client)
    await idle()
    return session, client


def pause(bench: RelayBench) -> None:
    bench.session.client_writable(False)


def resume(bench: RelayBench) -> None:
    bench.session.client_writable(False)
    bench.session.client_writable(True)


def ping(bench: RelayBench) -> None:
    bench.session.client_pinged(b"are you there?")


def send(bench: RelayBench) -> None:
    bench.say("two", "three")


@pytest.mark.parametrize(
    ("name", "act", "fault"),
    [
        ("pause", pause, a_raising_method),
        ("pause", pause, raising),
        ("resume", resume, a_raising_method),
        ("ping", ping, a_raising_method),
        ("send", send, a_raising_method),
        ("send_numbered", send, a_raising_method),
    ],
)
@on_virtual_clock
async def test_a_call_that_raises_moves_only_its_own_session(
    name: str,
    act: Callable[[RelayBench], None],
    fault: Callable[[], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = await bench_of(name, fault, numbered=name == "send_numbered")
    other, other_client = await other_session(bench)
    first = bench.blue.connections[0]
    if act is not send:
        bench.say("one")
    act(bench)
    second = await bench.green.connection()
    await asyncio.sleep(3)
    assert (bench.session.state, bench.session.backend_id) == (State.RELAYING, "green")
    assert second.texts == (["two", "three"] if act is send else ["one"])
    assert first.close_request == Close(CloseCode.GOING_AWAY, "its plugin has failed")
    [fault_line] = [each for each in caplog.records if each.levelname == "ERROR"]
    expected = f"backend blue: its plugin raised an error in {name}: FaultError()"
    assert fault_line.getMessage() == expected
    assert (other.state, other.backend_id) == (State.RELAYING, "blue")
    assert other_client.closed is None
    bench.session.client_writable(True)
    second.reply("still here")
    assert bench.client.texts == ["still here"]


class EndingConnection(FakeConnection):
    """Reports its end inside `send` and raises an error all the same, against the contract."""

    faulty = True
    reported = Close(CloseCode.LOST, "lost", abnormal=True)

    def send(self, message: Message, /) -> None:
        self.sink.closed(self.reported)
        raise FaultError


class EndingBackend(FakeBackend):
    """Its first connection ends inside `send`."""

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        connection = await super().connect(request, sink)
        if len(self.connections) == 1:
            connection.__class__ = EndingConnection
        return connection


@on_virtual_clock
async def test_a_send_that_raises_after_it_has_reported_the_end_moves_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = await RelayBench(EndingBackend("blue"), FakeBackend("green")).open()
    bench.say("one")
    second = await bench.green.connection()
    assert second.texts == ["one"]
    assert bench.session.state is State.RELAYING
    [fault_line] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert fault_line.exc_info is not None
    assert fault_line.exc_info[0] is FaultError


@on_virtual_clock
async def test_a_send_that_raises_after_a_normal_end_ends_the_session(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EndingConnection, "reported", Close(CloseCode.NORMAL, "done"))
    bench = await RelayBench(EndingBackend("blue")).open()
    bench.say("one")
    await idle()
    assert bench.client.closed == Close(CloseCode.NORMAL, "done")
    assert "FaultError" in caplog.text


@on_virtual_clock
async def test_a_delivery_after_a_send_that_raised_acknowledges_nothing() -> None:
    bench = await bench_of("send", a_raising_method)
    first = bench.blue.connections[0]
    bench.say("one")
    first.sink.delivered(1)
    second = await bench.green.connection()
    assert second.texts == ["one"]


@on_virtual_clock
async def test_a_start_that_raises_moves_the_session_and_suspects_no_message() -> None:
    bench = RelayBench(FaultyBackend("start", a_raising_method), FakeBackend("green"))
    bench.failover.__dict__["max_replays"] = 1
    await bench.open()
    bench.say("one")
    second = await bench.green.connection()
    assert second.texts == ["one"]
    assert bench.blue.connections[0].received == []
    assert bench.session.state is State.RELAYING


@on_virtual_clock
async def test_a_close_that_raises_ends_the_session_all_the_same() -> None:
    bench = await bench_of("close", a_raising_method)
    bench.session.close(4000, "enough")
    await idle()
    assert bench.client.closed == Close(4000, "enough")
    assert bench.ended
    assert len(bench.table) == 0


@on_virtual_clock
async def test_a_close_that_raises_when_the_client_has_left_ends_the_session() -> None:
    bench = await bench_of("close", a_raising_method)
    bench.leave()
    await bench.until_ended()
    assert bench.blue.session_ends != []


@on_virtual_clock
async def test_a_close_that_raises_in_a_move_moves_the_session() -> None:
    bench = await bench_of("close", a_raising_method)
    bench.say("one")
    bench.session.fail_over()
    await asyncio.sleep(30)
    assert (bench.session.state, bench.session.backend_id) == (State.RELAYING, "green")
    assert bench.green.connections[-1].texts == ["one"]


@pytest.mark.parametrize("name", ["subprotocol", "headers"])
@on_virtual_clock
async def test_an_answer_that_cannot_be_read_is_a_failed_dial(name: str) -> None:
    bench = await bench_of(name, raising)
    assert bench.session.backend_id == "green"
    assert bench.blue.connections[0].close_request is not None
    assert bench.session.backend_side.serving.backend.active == 1


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("held_bytes", raising),
        ("lasting_bytes", raising),
        ("is_in_a_message", raising),
        ("held_bytes", lambda: None),
        ("lasting_bytes", lambda: "12"),
        ("held_bytes", lambda: 1.5),
        ("held_bytes", lambda: -1),
        ("held_bytes", lambda: 1 << 99),
    ],
)
@pytest.mark.usefixtures("quick_rounds")
@on_virtual_clock
async def test_the_memory_watch_goes_on_without_a_value_that_it_cannot_read(
    name: str, fault: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    bench = await bench_of(name, fault)
    watch = MemoryWatch(bench.table, BOUND, 1000, lambda: 0, bench.table.closing, bench.counters)
    watch.start(asyncio.get_running_loop())
    bench.client.held_bytes = 700
    await asyncio.sleep(ROUNDS)
    assert watch.used == 700
    bench.client.held_bytes = BOUND  # the session is paused, too
    await asyncio.sleep(ROUNDS)
    assert watch.used == BOUND
    assert bench.counters.memory_holds.value
    bench.client.held_bytes = 0
    await asyncio.sleep(ROUNDS)
    assert (watch.used, watch.paused) == (0, 0)
    watch.stop()
    [line] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert line.startswith(f"backend blue: its plugin raised an error in {name}: ")
    assert (bench.session.state, bench.session.backend_id) == (State.RELAYING, "blue")


@on_virtual_clock
async def test_a_closing_connection_that_cannot_be_measured_counts_nothing() -> None:
    bench = await bench_of("held_bytes", raising)
    broken: Any = bench.blue.connections[0]
    other, _ = await other_session(bench)
    sound: Any = bench.blue.connections[1]
    for connection in (broken, sound):
        kind = type(connection)
        connection.__class__ = type("Sound", (kind,), {"held_bytes": 700})
    bench.session.close(1000)
    other.close(1000)
    assert bench.table.closing.held_bytes == 1400
    kind = type(broken)
    broken.__class__ = type("Broken", (kind,), {"held_bytes": property(lambda _: raising())})
    assert bench.table.closing.held_bytes == 700


@pytest.mark.parametrize("name", ["unsent", "delivered_is_answered"])
@on_virtual_clock
async def test_an_attribute_that_raises_has_its_default(name: str) -> None:
    bench = await bench_of(name, raising)
    bench.say("one")
    assert not bench.session.awaits_answers
    bench.drop()
    second = await bench.green.connection()
    assert second.texts == ["one"]


@on_virtual_clock
async def test_a_backend_whose_session_ended_cannot_be_read_is_not_told() -> None:
    class Untold(FakeBackend):
        @property
        def session_ended(self) -> Any:
            raise FaultError

    blue: Any = Untold("blue")
    bench = await RelayBench(blue, FakeBackend("green")).open()
    bench.say(as_message("one"))
    bench.session.close(1000)
    assert bench.ended


class Cancelled(FakeBackend):
    """Waits for a task that was cancelled, in its first dial."""

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        if not self.requests:
            self.requests.append(request)
            raise asyncio.CancelledError
        return await super().connect(request, sink)


@on_virtual_clock
async def test_a_dial_whose_plugin_raises_a_cancellation_has_failed() -> None:
    bench = await RelayBench(Cancelled("blue"), FakeBackend("green")).open()
    assert bench.session.backend_id == "green"
    assert bench.counters.dials_failed.value == 1


@on_virtual_clock
async def test_a_failover_whose_plugin_raises_a_cancellation_goes_on() -> None:
    bench = await RelayBench(FakeBackend("blue"), Cancelled("green")).open()
    bench.drop()
    await asyncio.sleep(3)
    assert (bench.session.state, bench.session.backend_id) == (State.RELAYING, "blue")
