"""OrderedConnection, where the contract suite does not test it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from wsgw_core.api import (
    BINARY,
    BackendConnection,
    BackendUnavailable,
    Close,
    Limits,
    Message,
    OrderedConnection,
)
from wsgw_core.testing.context import make_context
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

A, B, C = as_message("A"), as_message("B"), as_message("C")
LIMITS = Limits(close_timeout=10.0, write_high_water=100)


class Scripted(OrderedConnection):
    """Transmits into a list while its gate is open."""

    def __init__(self, sink: RecordingSink) -> None:
        super().__init__(sink, make_context(limits=LIMITS))
        self.transmitted: list[Message] = []
        self.cancelled = 0
        self.finished: list[Close] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.transmit_error: Exception | None = None
        self.finish_error: Exception | None = None
        self.finish_takes = 0.0
        self.while_finishing: Callable[[], object] = lambda: None

    async def transmit(self, message: Message) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.transmit_error is not None:
            raise self.transmit_error
        self.transmitted.append(message)

    async def finish(self, close: Close) -> None:
        self.finished.append(close)
        self.while_finishing()
        await asyncio.sleep(self.finish_takes)
        if self.finish_error is not None:
            raise self.finish_error


def make(*, start: bool = True) -> tuple[Scripted, WatchedConnection, RecordingSink]:
    sink = RecordingSink()
    connection = Scripted(sink)
    watched = sink.watch(connection)
    if start:
        watched.start()
    return connection, watched, sink


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


@on_virtual_clock
async def test_an_ordered_connection_is_a_backend_connection() -> None:
    connection, _, _ = make()
    assert isinstance(connection, BackendConnection)
    assert connection.subprotocol is None
    assert connection.headers == ()


@on_virtual_clock
async def test_messages_are_transmitted_and_reported_one_after_another() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    for message in (A, B, C):
        watched.send(message)
    await idle()
    assert connection.transmitted == []
    assert sink.delivered_count == 0
    connection.gate.set()
    await sink.until_delivered(3)
    assert connection.transmitted == [A, B, C]


@on_virtual_clock
async def test_messages_sent_before_the_start_are_transmitted_after_it() -> None:
    connection, watched, sink = make(start=False)
    watched.send(as_message("x" * 101))
    await idle()
    assert connection.transmitted == []
    connection.gate.clear()
    watched.start()
    await sink.until_writable(False)
    connection.gate.set()
    await sink.until_delivered(1)
    await sink.until_writable(True)


@on_virtual_clock
async def test_a_connection_is_writable_again_below_a_quarter() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    for _ in range(5):
        watched.send(as_message("x" * 25))
    await idle()
    assert sink.writability == [False]
    connection.gate.set()
    await sink.until_delivered(5)
    assert sink.writability == [False, True]


@on_virtual_clock
async def test_a_backend_error_in_transmit_is_a_loss_without_delivery() -> None:
    connection, watched, sink = make()
    connection.transmit_error = BackendUnavailable("no route to host")
    watched.send(A)
    assert await sink.until_closed() == Close(1006, "no route to host", abnormal=True)
    assert sink.delivered_count == 0
    await idle()
    assert connection.finished == [sink.end]


@on_virtual_clock
async def test_a_fault_in_transmit_is_logged_and_does_not_lose_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection, watched, sink = make()
    connection.transmit_error = KeyError("stream")
    watched.send(A)
    assert await sink.until_closed() == Close(1006, "KeyError: 'stream'", abnormal=True)
    assert "Scripted failed" in caplog.text
    assert "Traceback" in caplog.text


@on_virtual_clock
async def test_a_timeout_inside_transmit_is_the_plugins_fault() -> None:
    connection, watched, sink = make()
    connection.transmit_error = TimeoutError("the broker did not confirm")
    watched.send(A)
    assert (await sink.until_closed()).reason == "TimeoutError: the broker did not confirm"


@on_virtual_clock
async def test_fail_cancels_transmit_and_calls_finish() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    watched.send(A)
    watched.send(B)
    await idle()
    connection.fail("the reader saw the end")
    assert sink.end == Close(1006, "the reader saw the end", abnormal=True)
    connection.fail("again")
    await idle()
    assert connection.cancelled == 1
    assert connection.finished == [sink.end]
    assert len(asyncio.all_tasks()) == 1
    sink.check()


@on_virtual_clock
async def test_fail_while_idle_calls_finish() -> None:
    connection, _, sink = make()
    await idle()
    connection.fail("gone")
    await idle()
    assert connection.finished == [sink.end]
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_the_backends_close_comes_after_its_messages() -> None:
    connection, watched, sink = make()
    watched.pause()
    assert connection.receive(A)
    connection.end(Close(4000, "enough"))
    assert sink.messages == [A]
    assert sink.end == Close(4000, "enough")
    assert not connection.receive(B)
    await idle()
    assert connection.finished == [Close(4000, "enough")]
    sink.check()


class TestReady:
    @on_virtual_clock
    async def test_a_reader_waits_while_the_session_is_paused(self) -> None:
        connection, watched, sink = make()
        read: list[Message] = []

        async def read_all() -> None:
            for message in (A, B, C, A, B, C):
                await connection.ready()
                read.append(message)
                connection.receive(message)

        watched.pause()
        reading = asyncio.create_task(read_all())
        await idle()
        assert read == []
        assert connection.held_bytes == 0
        watched.resume()
        assert await sink.until_messages(6) == [A, B, C, A, B, C]
        await reading

    @on_virtual_clock
    async def test_a_reader_goes_on_when_the_waiting_messages_are_passed_on(self) -> None:
        connection, watched, sink = make()
        watched.pause()
        connection.receive(A)
        waiting = asyncio.create_task(connection.ready())
        watched.resume()
        await waiting
        assert sink.messages == [A]
        assert connection.held_bytes == 0

    @pytest.mark.parametrize("end", ["close", "fail", "end"])
    @on_virtual_clock
    async def test_an_end_releases_the_reader(self, end: str) -> None:
        connection, watched, _ = make()
        watched.pause()
        waiting = asyncio.create_task(connection.ready())
        await idle()
        assert not waiting.done()
        if end == "close":
            watched.close(1000)
        elif end == "fail":
            connection.fail("gone")
        else:
            connection.end(Close(1000))
        await waiting
        await idle()

    @on_virtual_clock
    async def test_a_reader_that_does_not_wait_fails_and_loses_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        connection, watched, sink = make()
        watched.pause()
        large = Message(BINARY, bytes(100_000))
        count = 0
        while connection.receive(large):
            count += 1
            assert connection.held_bytes < 4 * 1024 * 1024
        assert 20 < count < 40  # the ledger's bytes, and one message of the largest size
        assert sink.end is not None
        assert sink.end.abnormal
        assert len(sink.messages) == count
        assert "does not wait until it is ready" in caplog.text
        await idle()
        assert connection.held_bytes == 0

    @on_virtual_clock
    async def test_after_a_close_held_bytes_include_messages_to_the_backend(
        self,
    ) -> None:
        connection, watched, _ = make()
        connection.gate.clear()
        for _ in range(3):
            watched.send(A)
        await idle()
        assert connection.held_bytes == 0
        watched.close(1000)
        assert connection.held_bytes == 3
        connection.gate.set()
        await idle()
        assert connection.held_bytes == 0


@on_virtual_clock
async def test_an_end_before_the_start_is_reported_after_it() -> None:
    connection, watched, sink = make(start=False)
    connection.receive(A)
    connection.fail("died young")
    await idle()
    sink.check()
    watched.start()
    assert (await sink.until_closed()).reason == "died young"
    assert sink.messages == [A]
    await idle()
    assert len(connection.finished) == 1


@on_virtual_clock
async def test_a_pause_before_the_start_takes_effect() -> None:
    connection, watched, sink = make(start=False)
    connection.receive(A)
    watched.pause()
    watched.start()
    connection.receive(B)
    await idle()
    assert sink.messages == []
    watched.resume()
    assert await sink.until_messages(2) == [A, B]


@on_virtual_clock
async def test_a_pause_inside_a_message_takes_effect_at_once() -> None:
    connection, watched, sink = make()
    watched.pause()
    for message in (A, B, C):
        connection.receive(message)
    sink.on_message = lambda message: watched.pause() if message == B else None
    watched.resume()
    await idle()
    assert sink.messages == [A, B]
    watched.resume()
    assert await sink.until_messages(3) == [A, B, C]


@on_virtual_clock
async def test_a_session_that_closes_during_the_last_messages_gets_one_end() -> None:
    connection, watched, sink = make()
    watched.pause()
    connection.receive(A)
    connection.receive(B)

    def close_and_fail(message: Message) -> None:
        watched.close(1000)
        connection.fail(f"at the same time as {message}")

    sink.on_message = close_and_fail
    connection.end(Close(4000))
    await idle()
    sink.check()
    assert sink.messages == [A, B]
    assert sink.end == Close(4000)


@on_virtual_clock
async def test_a_close_waits_for_messages_sent_before() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    watched.send(A)
    watched.close(1000, "bye")
    watched.send(B)
    await asyncio.sleep(9)
    assert sink.end is None
    connection.gate.set()
    assert await sink.until_closed() == Close(1000, "bye")
    assert connection.transmitted == [A]
    assert sink.delivered_count == 1


@pytest.mark.parametrize("under_way", [True, False])
@on_virtual_clock
async def test_an_end_that_crosses_a_close_is_abnormal_with_messages_in_flight(
    *, under_way: bool
) -> None:
    connection, watched, sink = make()
    watched.send(A)
    await idle()
    if under_way:
        connection.gate.clear()
        watched.send(B)
        await idle()
    connection.finish_takes = 1
    watched.close(1001)
    connection.end(Close(4001, "enough"))
    assert await sink.until_closed() == Close(4001, "enough", abnormal=under_way)
    assert sink.delivered_count == 1


@on_virtual_clock
async def test_a_close_times_out_if_transmit_hangs() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    watched.send(A)
    await idle()
    watched.close(1000, "bye")
    close = await sink.until_closed()
    assert now() == pytest.approx(10)
    assert close == Close(1006, "close timed out", abnormal=True)
    await idle()
    assert connection.finished == [close]


@on_virtual_clock
async def test_a_close_times_out_if_finish_hangs() -> None:
    connection, watched, sink = make()
    connection.finish_takes = 1000
    watched.close(1000, "bye")
    assert (await sink.until_closed()).abnormal
    assert now() == pytest.approx(10)


@on_virtual_clock
async def test_the_close_timeout_covers_messages_and_finish_together() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    connection.finish_takes = 1000
    watched.send(A)
    watched.close(1000, "bye")
    asyncio.get_running_loop().call_later(8, connection.gate.set)
    await sink.until_closed()
    assert now() == pytest.approx(10)


@on_virtual_clock
async def test_a_loss_at_the_moment_of_the_timeout_ends_the_connection_once() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    watched.send(A)
    await idle()
    watched.close(1000)
    # The same instant as the bound: whichever comes first, the other finds it done.
    asyncio.get_running_loop().call_later(10, connection.fail, "lost")
    assert (await sink.until_closed()).abnormal
    await idle()
    sink.check()
    assert len(connection.finished) == 1


@on_virtual_clock
async def test_a_backend_that_answers_the_close_ends_it_without_interrupting_finish() -> None:
    connection, watched, sink = make()
    connection.finish_takes = 1.0
    released: list[float] = []
    connection.while_finishing = lambda: connection.end(Close(1000, "answered"))
    original = connection.finish

    async def finish(close: Close) -> None:
        await original(close)
        released.append(now())

    connection.finish = finish  # type: ignore[method-assign]  # simpler than a class
    watched.close(1000, "bye")
    assert await sink.until_closed() == Close(1000, "answered")
    await asyncio.sleep(2)
    assert released == [1.0]
    sink.check()


@on_virtual_clock
async def test_a_finish_that_fails_makes_the_end_abnormal() -> None:
    connection, watched, sink = make()
    connection.finish_error = BackendUnavailable("gone already")
    watched.close(1000)
    assert await sink.until_closed() == Close(1006, "gone already", abnormal=True)


@on_virtual_clock
async def test_a_close_without_a_start_transmits_and_finishes_in_silence() -> None:
    connection, watched, sink = make(start=False)
    connection.receive(A)
    watched.send(B)
    watched.close(1001)
    await idle()
    sink.check()
    assert connection.transmitted == [B]
    assert connection.finished == [Close(1001)]
    assert sink.messages == []
    assert sink.delivered_count == 0


@on_virtual_clock
async def test_calls_after_the_end_have_no_effect() -> None:
    connection, watched, sink = make()
    watched.close(1000)
    await sink.until_closed()
    watched.send(A)
    watched.pause()
    watched.resume()
    watched.close(1001)
    connection.fail("late")
    connection.end(Close(1000))
    assert not connection.receive(A)
    await idle()
    sink.check()
    assert connection.transmitted == []


@on_virtual_clock
async def test_receive_returns_false_when_the_client_is_gone() -> None:
    connection, _, sink = make()
    sink.client_is_there = False
    assert not connection.receive(A)
