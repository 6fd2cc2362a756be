"""OrderedConnection keeps the contract in what the contract suite does not reach."""

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
    """Transmits into a list, when it is let."""

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
async def test_it_is_a_connection() -> None:
    connection, _, _ = make()
    assert isinstance(connection, BackendConnection)
    assert connection.subprotocol is None
    assert connection.headers == ()


@on_virtual_clock
async def test_messages_are_transmitted_one_after_the_other_and_reported_as_they_go() -> None:
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
async def test_what_is_sent_before_the_start_is_transmitted_after_it() -> None:
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
async def test_it_is_writable_again_below_a_quarter() -> None:
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
async def test_a_lost_backend_moves_the_message_under_way_with_the_session() -> None:
    connection, watched, sink = make()
    connection.transmit_error = BackendUnavailable("no route to host")
    watched.send(A)
    assert await sink.until_closed() == Close(1006, "no route to host", abnormal=True)
    assert sink.delivered_count == 0
    await idle()
    assert connection.finished == [sink.end]


@on_virtual_clock
async def test_the_authors_fault_is_told_and_does_not_lose_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection, watched, sink = make()
    connection.transmit_error = KeyError("stream")
    watched.send(A)
    assert await sink.until_closed() == Close(1006, "KeyError: 'stream'", abnormal=True)
    assert "Scripted failed" in caplog.text
    assert "Traceback" in caplog.text


@on_virtual_clock
async def test_a_time_out_of_the_author_is_not_taken_for_ours() -> None:
    connection, watched, sink = make()
    connection.transmit_error = TimeoutError("the broker did not confirm")
    watched.send(A)
    assert (await sink.until_closed()).reason == "TimeoutError: the broker did not confirm"


@on_virtual_clock
async def test_failing_cancels_what_is_under_way_and_still_finishes() -> None:
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
async def test_failing_while_idle_releases_too() -> None:
    connection, _, sink = make()
    await idle()
    connection.fail("gone")
    await idle()
    assert connection.finished == [sink.end]
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_the_backends_own_close_is_passed_on_after_its_messages() -> None:
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
    async def test_a_reader_goes_on_only_when_what_waited_has_gone_out(self) -> None:
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
    async def test_an_end_lets_the_reader_go_on(self, end: str) -> None:
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
    async def test_one_that_does_not_wait_fails_and_loses_nothing(
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
    async def test_what_waits_for_the_backend_is_told_when_no_ledger_counts_it_any_more(
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
async def test_an_end_before_the_start_is_told_afterwards() -> None:
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
async def test_a_pause_before_the_start_holds() -> None:
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
async def test_a_pause_from_inside_a_message_holds_at_once() -> None:
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
async def test_a_session_that_closes_while_it_hears_the_last_messages_is_told_once() -> None:
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
async def test_a_close_waits_for_what_was_sent() -> None:
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
async def test_an_end_that_crosses_a_close_is_abnormal_while_something_is_under_way(
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
async def test_a_close_is_bounded_though_a_message_never_gets_through() -> None:
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
async def test_a_close_is_bounded_though_finish_hangs() -> None:
    connection, watched, sink = make()
    connection.finish_takes = 1000
    watched.close(1000, "bye")
    assert (await sink.until_closed()).abnormal
    assert now() == pytest.approx(10)


@on_virtual_clock
async def test_the_bound_holds_for_messages_and_finish_together() -> None:
    connection, watched, sink = make()
    connection.gate.clear()
    connection.finish_takes = 1000
    watched.send(A)
    watched.close(1000, "bye")
    asyncio.get_running_loop().call_later(8, connection.gate.set)
    await sink.until_closed()
    assert now() == pytest.approx(10)


@on_virtual_clock
async def test_an_end_that_comes_when_the_time_is_up_does_no_harm() -> None:
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
async def test_a_farewell_that_fails_is_abnormal() -> None:
    connection, watched, sink = make()
    connection.finish_error = BackendUnavailable("gone already")
    watched.close(1000)
    assert await sink.until_closed() == Close(1006, "gone already", abnormal=True)


@on_virtual_clock
async def test_closing_without_a_start_transmits_and_releases_in_silence() -> None:
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
async def test_after_the_end_nothing_has_an_effect() -> None:
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
async def test_it_passes_on_that_the_client_is_gone() -> None:
    connection, _, sink = make()
    sink.client_is_there = False
    assert not connection.receive(A)
