from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from wsgw_core.api import BINARY, TEXT, BackendConnection, Close, CloseCause, Headers, Message, Sink
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection
from wsgw_core.testing.virtual_clock import on_virtual_clock

HELLO = Message.from_text("hello")


class Puppet:
    """A connection whose methods call the test's functions."""

    subprotocol = "chat"
    headers: Headers = (("X-A", "1"),)

    def __init__(self) -> None:
        self.acts: dict[str, Callable[[], object]] = {}
        self.calls: list[tuple[Any, ...]] = []

    def _act(self, *call: object) -> None:
        self.calls.append(call)
        self.acts.get(str(call[0]), lambda: None)()

    def start(self) -> None:
        self._act("start")

    def send(self, message: Message, /) -> None:
        self._act("send", message)

    def pause(self) -> None:
        self._act("pause")

    def resume(self) -> None:
        self._act("resume")

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        self._act("close", code, reason)


def make(*, started: bool = True, sent: int = 0) -> tuple[RecordingSink, WatchedConnection, Puppet]:
    sink, puppet = RecordingSink(), Puppet()
    connection = sink.watch(puppet)
    if started:
        connection.start()
    for _ in range(sent):
        connection.send(HELLO)
    return sink, connection, puppet


def test_the_sink_and_the_connection_implement_the_protocols() -> None:
    sink, connection, _ = make()
    assert isinstance(sink, Sink)
    assert isinstance(connection, BackendConnection)


def test_correct_calls_are_recorded_without_a_fault() -> None:
    sink, connection, puppet = make(sent=2)
    assert sink.message(HELLO)
    sink.delivered(1)
    sink.writable(False)
    assert not sink.is_writable
    sink.writable(True)
    sink.delivered(1)
    connection.pause()
    connection.resume()
    connection.close(1000, "bye")
    sink.closed(Close(1000, "bye"))
    sink.check()
    assert sink.messages == [HELLO]
    assert sink.delivered_count == 2
    assert sink.writability == [False, True]
    assert sink.end == Close(1000, "bye")
    assert (connection.subprotocol, connection.headers) == ("chat", (("X-A", "1"),))
    assert [call[0] for call in puppet.calls] == [
        "start", "send", "send", "pause", "resume", "close",
    ]  # fmt: skip


def test_message_returns_false_when_the_client_is_gone() -> None:
    sink, _, _ = make()
    sink.client_is_there = False
    assert not sink.message(HELLO)


def test_a_sink_belongs_to_one_connection() -> None:
    sink, _, puppet = make()
    with pytest.raises(RuntimeError, match="one connection"):
        sink.watch(puppet)


SINK_CALLS: list[Callable[[RecordingSink], object]] = [
    lambda sink: sink.message(HELLO),
    lambda sink: sink.delivered(1),
    lambda sink: sink.writable(False),
    lambda sink: sink.closed(Close(1000)),
]


@pytest.mark.parametrize("call", SINK_CALLS)
def test_a_call_before_start_is_a_breach(call: Callable[[RecordingSink], object]) -> None:
    sink, _, _ = make(started=False, sent=1)
    call(sink)
    with pytest.raises(AssertionError, match=r"was called before start\(\)"):
        sink.check()


def test_a_call_while_still_connecting_is_a_breach() -> None:
    sink = RecordingSink()
    sink.message(HELLO)
    with pytest.raises(AssertionError, match="before start"):
        sink.check()


def test_a_connection_closed_without_a_start_may_end() -> None:
    sink, connection, _ = make(started=False)
    connection.close(1001)
    sink.closed(Close(1001))
    sink.check()


@pytest.mark.parametrize("call", SINK_CALLS)
def test_a_call_after_the_end_is_a_breach(call: Callable[[RecordingSink], object]) -> None:
    sink, _, _ = make(sent=1)
    sink.closed(Close(1006, abnormal=True))
    sink.check()
    call(sink)
    with pytest.raises(AssertionError, match=r"was called after closed\(\)"):
        sink.check()
    assert sink.end == Close(1006, abnormal=True)


@pytest.mark.parametrize("method", ["start", "send", "pause", "resume", "close"])
@pytest.mark.parametrize("call", SINK_CALLS)
def test_a_call_from_inside_a_method_is_a_breach(
    method: str, call: Callable[[RecordingSink], object]
) -> None:
    sink, connection, puppet = make(started=method != "start", sent=1)
    puppet.acts[method] = lambda: call(sink)
    arguments: dict[str, tuple[Any, ...]] = {"send": (HELLO,), "close": (1000,)}
    getattr(connection, method)(*arguments.get(method, ()))
    with pytest.raises(AssertionError, match=rf"from inside {method}\(\)"):
        sink.check()


def test_more_deliveries_than_messages_are_a_breach() -> None:
    sink, _, _ = make(sent=2)
    sink.delivered(2)
    sink.check()
    sink.delivered(1)
    with pytest.raises(AssertionError, match="3 messages reported delivered, but 2 were sent"):
        sink.check()


def test_a_negative_count_is_a_breach() -> None:
    sink, _, _ = make(sent=2)
    sink.delivered(-1)
    with pytest.raises(AssertionError, match="negative"):
        sink.check()


def test_an_exception_is_a_breach_and_is_raised() -> None:
    sink, connection, puppet = make()
    puppet.acts["send"] = lambda: 1 // 0
    with pytest.raises(ZeroDivisionError):
        connection.send(HELLO)
    with pytest.raises(AssertionError, match=r"send\(\) raised ZeroDivisionError"):
        sink.check()


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Message(BINARY, cast("bytes", bytearray(b"x"))), "bytearray instead of bytes"),
        (Message(TEXT, b"\xff"), "not valid UTF-8"),
    ],
)
def test_a_malformed_message_is_a_breach(message: Message, complaint: str) -> None:
    sink, _, _ = make()
    sink.message(message)
    with pytest.raises(AssertionError, match=complaint):
        sink.check()


def test_a_call_from_another_thread_is_a_breach() -> None:
    sink, _, _ = make()

    async def call() -> None:
        await asyncio.to_thread(sink.message, HELLO)

    asyncio.run(call())
    with pytest.raises(AssertionError, match="another thread"):
        sink.check()


@on_virtual_clock
async def test_everything_can_be_awaited() -> None:
    sink, _, _ = make(sent=3)
    loop = asyncio.get_running_loop()
    loop.call_later(1, sink.message, HELLO)
    loop.call_later(2, sink.delivered, 3)
    loop.call_later(3, sink.writable, False)
    loop.call_later(4, sink.closed, Close(1000))
    assert await sink.until_messages(1) == [HELLO]
    assert loop.time() == 1
    await sink.until_delivered(3)
    assert loop.time() == 2
    await sink.until_writable(False)
    assert loop.time() == 3
    assert await sink.until_closed() == Close(1000)
    assert loop.time() == 4


@on_virtual_clock
async def test_waiting_ends_with_a_breach() -> None:
    sink, _, _ = make()
    asyncio.get_running_loop().call_later(1, sink.delivered, 1)
    with pytest.raises(AssertionError, match="1 messages reported delivered, but 0 were sent"):
        await sink.until_closed()
    assert asyncio.get_running_loop().time() == 1


@on_virtual_clock
async def test_a_timeout_describes_what_was_recorded() -> None:
    sink, _, _ = make()
    sink.message(HELLO)
    with pytest.raises(AssertionError, match=r"waited 20 s for 2 messages; .* 1 messages, 0 deliv"):
        await sink.until_messages(2)
