"""How many bytes of one connection an endpoint takes before others get their turn."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from wsgw_core.api import Close, Limits, Message
from wsgw_core.testing.fakes import as_message

from . import raw_frames as raw
from .endpoint_bench import Bench, endpoint_bench
from .raw_frames import close_frame, frame

MOST = 200  # frames in one turn
FRAMES = 2000
HIGH_WATER = 64 * 1024
PINGS = 4000  # 400 kB, whose pongs no socket buffers hold


def numbers(count: int, *, masked: bool = True) -> bytes:
    return b"".join(frame(raw.TEXT, str(each).encode(), masked=masked) for each in range(count))


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def small_frames(kind: str, *, masked: bool) -> bytes:
    """Returns frames of two to a few bytes; as many as FRAMES."""
    one = {
        "messages": frame(raw.BINARY, masked=masked),
        "pings": frame(raw.PING, masked=masked),
        "pongs": frame(raw.PONG, masked=masked),
        "fragments": frame(raw.BINARY, fin=False, masked=masked)
        + 48 * frame(raw.CONTINUATION, fin=False, masked=masked)
        + frame(raw.CONTINUATION, masked=masked),
    }[kind]
    return one * (FRAMES // (50 if kind == "fragments" else 1))


def taken(bench: Bench) -> int:
    """Returns how many frames were taken so far."""
    whole = len(bench.events.messages)
    return bench.events.signs_of_life or whole


@pytest.mark.parametrize("client_side", [False, True])
@pytest.mark.parametrize("kind", ["messages", "pings", "pongs", "fragments"])
async def test_a_read_of_many_frames_is_taken_in_turns(kind: str, *, client_side: bool) -> None:
    async with endpoint_bench(client_side=client_side) as bench:
        bench.endpoint.data_received(small_frames(kind, masked=not client_side))
        turns = [taken(bench)]
        while turns[-1] < FRAMES:
            await asyncio.sleep(0)  # one turn of the loop
            turns.append(taken(bench))
            assert turns[-1] - turns[-2] <= MOST
        assert turns[0] <= MOST
        assert len(turns) <= FRAMES  # it does not starve


async def test_nothing_is_read_between_turns_and_the_order_stays() -> None:
    async with endpoint_bench() as bench:
        bench.endpoint.data_received(numbers(FRAMES))
        bench.write(frame(raw.TEXT, b"behind"))
        messages = await bench.events.until_messages(FRAMES + 1)
        assert texts(messages) == [*map(str, range(FRAMES)), "behind"]


async def test_large_messages_are_all_taken_at_once() -> None:
    async with endpoint_bench() as bench:
        bench.endpoint.data_received(frame(raw.BINARY, b"x" * 16 * 1024) * 16)
        assert len(bench.events.messages) == 16


async def test_two_connections_take_turns() -> None:
    async with endpoint_bench() as one, endpoint_bench() as other:
        one.endpoint.data_received(numbers(FRAMES))
        other.endpoint.data_received(numbers(FRAMES))
        while len(other.events.messages) < FRAMES:
            await asyncio.sleep(0)
            assert abs(len(one.events.messages) - len(other.events.messages)) <= MOST


WHOLE = frame(raw.BINARY, b"x" * 1024 * 1024)
PARTS = [WHOLE[start : start + 150_000] for start in range(0, len(WHOLE), 150_000)]


class TestLongReads:
    """A message comes in several reads."""

    async def test_a_single_connection_reads_on(self) -> None:
        async with endpoint_bench() as bench:
            for part in PARTS:
                assert bench.transport.is_reading()
                bench.endpoint.data_received(part)
            assert bench.transport.is_reading()
            assert len(bench.events.messages) == 1

    @pytest.mark.parametrize("part", [0, -1])
    async def test_one_of_many_connections_waits_for_its_turn(self, part: int) -> None:
        async with endpoint_bench() as bench:
            loop = asyncio.get_running_loop()
            for each in PARTS[:part]:
                bench.endpoint.data_received(each)
            while bench.batch.may_read_on(loop):  # as others do, in the same turn of the loop
                pass
            bench.endpoint.data_received(PARTS[part])
            assert not bench.transport.is_reading()
            assert len(bench.events.messages) == (part == -1)  # what was read is taken
            await asyncio.sleep(0)  # one turn of the loop
            assert bench.transport.is_reading()

    @pytest.mark.parametrize("first_bytes", [b"", frame(raw.TEXT, b"A")])
    async def test_when_many_begin_at_once_some_wait_for_a_turn(self, first_bytes: bytes) -> None:
        async with endpoint_bench(first_bytes=None) as bench:
            loop = asyncio.get_running_loop()
            while bench.batch.may_begin(loop):  # as others do, in the same turn of the loop
                pass
            bench.endpoint.begin(first_bytes)
            assert not bench.transport.is_reading()
            assert not bench.events.messages
            await asyncio.sleep(0)  # one turn of the loop
            assert bench.transport.is_reading()
            assert texts(bench.events.messages) == ["A"] * bool(first_bytes)

    async def test_short_reads_never_wait(self) -> None:
        async with endpoint_bench() as bench:
            loop = asyncio.get_running_loop()
            while bench.batch.may_read_on(loop):
                pass
            bench.endpoint.data_received(frame(raw.BINARY, b"x" * 64 * 1024))
            assert bench.transport.is_reading()

    async def test_a_connection_paused_within_a_message_waits_for_its_turn(self) -> None:
        """Else all connections paused to save memory would read at the same moment."""
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(PARTS[0])
            bench.endpoint.pause_reading()
            bench.endpoint.resume_reading()
            assert not bench.transport.is_reading()
            await asyncio.sleep(0)  # one turn of the loop
            assert bench.transport.is_reading()

    async def test_a_peer_that_leaves_between_turns_is_reported_once(self) -> None:
        async with endpoint_bench() as bench:
            loop = asyncio.get_running_loop()
            while bench.batch.may_read_on(loop):
                pass
            bench.endpoint.data_received(PARTS[0])
            bench.reset()
            end, violation = await bench.events.until_ended()
            assert (end.code, violation) == (1006, False)


class TestManyCloses:
    """Many connections are closed in the same turn of the event loop."""

    async def test_the_close_of_a_client_waits_for_a_turn_and_is_taken_as_it_came(self) -> None:
        async with endpoint_bench() as bench:
            loop = asyncio.get_running_loop()
            while bench.batch.may_begin(loop):  # as others do, in the same turn of the loop
                pass
            bench.endpoint.data_received(numbers(2) + close_frame(3000, "bye"))
            assert texts(bench.events.messages) == ["0", "1"]
            assert not bench.events.ends
            assert not bench.transport.is_reading()
            await asyncio.sleep(0)  # one turn of the loop
            assert bench.events.ends == [(Close(3000, "bye"), False)]
            assert (await bench.read_frame()).opcode == raw.CLOSE

    async def test_a_client_that_is_gone_before_its_turn_has_closed(self) -> None:
        async with endpoint_bench() as bench:
            loop = asyncio.get_running_loop()
            while bench.batch.may_begin(loop):
                pass
            bench.endpoint.data_received(close_frame(3000, "bye"))
            assert not bench.events.ends
            bench.reset()
            assert await bench.events.until_ended() == (Close(3000, "bye"), False)

    async def test_the_close_of_a_backend_is_taken_at_once(self) -> None:
        async with endpoint_bench(client_side=True) as bench:
            loop = asyncio.get_running_loop()
            while bench.batch.may_begin(loop):
                pass
            bench.endpoint.data_received(close_frame(1001, "restart", masked=False))
            assert bench.events.ends == [(Close(1001, "restart"), False)]


class TestHeld:
    async def test_a_pause_stops_taking_messages_of_the_same_read(self) -> None:
        async with endpoint_bench() as bench:
            deliver = bench.events.deliver

            def deliver_two(message: Message) -> None:
                deliver(message)
                if len(bench.events.messages) == 2:
                    bench.endpoint.pause_reading()

            bench.endpoint.deliver = deliver_two
            bench.write(numbers(20) + frame(raw.PING))
            await bench.events.until_messages(2)
            await asyncio.sleep(0.02)  # room for what must not happen
            assert texts(bench.events.messages) == ["0", "1"]
            assert bench.endpoint.silence() == 0
            bench.endpoint.resume_reading()
            assert len(bench.events.messages) == 2, "not from inside of resume_reading"
            await bench.events.until_messages(20)
            assert texts(bench.events.messages) == [*map(str, range(20))]
            assert (await bench.read_frame()).opcode == raw.PONG

    async def test_a_pause_between_two_turns_takes_effect(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.endpoint.pause_reading()
            before = len(bench.events.messages)
            await asyncio.sleep(0.02)  # room for what must not happen
            assert len(bench.events.messages) == before
            bench.endpoint.resume_reading()
            await bench.events.until_messages(FRAMES)
            assert texts(bench.events.messages) == [*map(str, range(FRAMES))]

    async def test_after_a_stop_kept_frames_are_taken_and_nothing_more_is_read(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.endpoint.pause_reading()
            bench.write(frame(raw.TEXT, b"next"))
            bench.endpoint.stop_reading()
            await bench.events.until_messages(FRAMES)
            await asyncio.sleep(0.02)  # room for what must not happen
            assert len(bench.events.messages) == FRAMES
            bench.endpoint.resume_reading()
            await bench.events.until_messages(FRAMES + 1)
            assert texts(bench.events.messages)[-1] == "next"

    async def test_a_pause_after_a_stop_keeps_the_frames_that_are_left(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.stop_reading()
            bench.endpoint.data_received(numbers(FRAMES))
            bench.endpoint.pause_reading()
            before = len(bench.events.messages)
            await asyncio.sleep(0.02)  # room for what must not happen
            assert len(bench.events.messages) == before
            bench.endpoint.stop_reading()
            await bench.events.until_messages(FRAMES)

    async def test_a_peer_that_is_lost_after_a_stop_ends_when_its_frames_are_taken(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.endpoint.pause_reading()
            bench.transport.abort()
            await asyncio.sleep(0.02)
            assert not bench.events.ends
            bench.endpoint.stop_reading()
            end, _ = await bench.events.until_ended()
            assert (end.code, len(bench.events.messages)) == (1006, FRAMES)

    async def test_a_close_after_a_stop_reads_the_answer(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.stop_reading()
            bench.endpoint.close(1001)
            bench.write(close_frame(1001))
            assert await bench.events.until_ended() == (Close(1001), False)

    async def test_a_pause_and_resume_within_one_message_takes_effect(self) -> None:
        async with endpoint_bench() as bench:
            deliver = bench.events.deliver

            def deliver_and_hesitate(message: Message) -> None:
                bench.endpoint.pause_reading()
                deliver(message)
                bench.endpoint.resume_reading()

            bench.endpoint.deliver = deliver_and_hesitate
            bench.write(numbers(500))
            await bench.events.until_messages(500)
            assert texts(bench.events.messages) == [*map(str, range(500))]

    async def test_a_pause_within_a_fragmented_message_takes_effect(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(frame(raw.TEXT, b"A", fin=False))
            bench.endpoint.pause_reading()
            bench.endpoint.resume_reading()
            bench.write(frame(raw.CONTINUATION, b"B") + frame(raw.TEXT, b"C"))
            assert texts(await bench.events.until_messages(2)) == ["AB", "C"]

    async def test_after_a_close_kept_frames_and_the_answer_are_taken(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.endpoint.pause_reading()
            bench.endpoint.close(1001)
            bench.write(close_frame(1001))
            assert await bench.events.until_ended() == (Close(1001), False)
            assert len(bench.events.messages) == FRAMES


class TestLostWithFramesKept:
    @pytest.mark.parametrize("held", [False, True])
    async def test_kept_frames_are_taken_before_the_end(self, *, held: bool) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            if held:
                bench.endpoint.pause_reading()
            bench.transport.abort()
            await asyncio.sleep(0.02)
            if held:
                assert not bench.events.ends
                bench.endpoint.send(as_message("to nobody"))
                bench.endpoint.ping(b"to nobody")
                assert not bench.endpoint.is_flushed
                assert bench.endpoint.silence() == 0
                assert not bench.endpoint.backlog().has_moved()
                bench.endpoint.resume_reading()
            end, violation = await bench.events.until_ended()
            assert (end.code, violation) == (1006, False)
            assert texts(bench.events.messages) == [*map(str, range(FRAMES))]

    async def test_a_peer_that_closes_at_once_loses_nothing(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(numbers(FRAMES) + close_frame(1000))
            bench.writer.close()
            assert await bench.events.until_ended() == (Close(1000), False)
            assert len(bench.events.messages) == FRAMES

    async def test_a_violation_in_kept_frames_is_reported_once(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES) + frame(raw.TEXT, b"\xff"))
            bench.transport.abort()
            end, violation = await bench.events.until_ended()
            assert (end.code, violation) == (1007, True)
            assert len(bench.events.messages) == FRAMES

    async def test_a_fault_of_wsgw_in_kept_frames_ends_it_once(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.transport.abort()
            bench.endpoint.deliver = None  # type: ignore[assignment]  # raises when called
            end, _ = await bench.events.until_ended()
            assert end.code == 1011

    @pytest.mark.parametrize("how", ["abort", "close"])
    async def test_an_abort_with_kept_frames_reports_the_end(self, how: str) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.endpoint.pause_reading()
            bench.transport.abort()
            await asyncio.sleep(0.02)
            if how == "abort":
                bench.endpoint.abort("enough")
                assert await bench.events.until_ended() == (Close(1006, "enough"), False)
            else:
                bench.endpoint.close(1001)
                assert (await bench.events.until_ended())[0].code == 1006
            bench.endpoint.pause_reading()
            bench.endpoint.resume_reading()
            bench.endpoint.abort()

    async def test_an_abort_during_kept_frames_ends_it_once(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.data_received(numbers(FRAMES))
            bench.transport.abort()
            bench.endpoint.deliver = lambda _message: bench.endpoint.abort("enough")
            assert await bench.events.until_ended() == (Close(1006, "enough"), False)

    async def test_an_endpoint_is_freed_without_the_garbage_collector(self) -> None:
        gc.collect()
        gc.disable()
        try:
            async with endpoint_bench() as bench:
                endpoint = weakref.ref(bench.endpoint)
                bench.endpoint.data_received(numbers(FRAMES))
                bench.transport.abort()
                await bench.events.until_ended()
            del bench
            for _ in range(10):  # what the event loop still holds for its next turns
                await asyncio.sleep(0)
            assert endpoint() is None
        finally:
            gc.enable()


class TestPings:
    async def test_a_peer_that_reads_gets_an_answer_to_each_ping(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(b"".join(frame(raw.PING, str(each).encode()) for each in range(1000)))
            for each in range(1000):
                assert (await bench.read_frame()).payload == str(each).encode()

    async def test_pongs_come_after_messages_of_the_same_read(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.deliver = bench.endpoint.send  # an echo
            bench.write((frame(raw.TEXT, b"A") + frame(raw.PING, b"B")) * 3)
            got = [(await bench.read_frame()).payload for _ in range(6)]
            assert got == [b"A", b"B"] * 3

    @pytest.mark.parametrize("passed_on", [False, True])
    @pytest.mark.parametrize("client_side", [False, True])
    async def test_a_peer_that_does_not_read_gets_only_the_newest_pong(
        self, *, client_side: bool, passed_on: bool
    ) -> None:
        async with endpoint_bench(client_side=client_side, send_buffer=4096) as bench:
            if passed_on:  # and answered at once
                bench.endpoint.on_ping = bench.endpoint.pong
            bench.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            masked = not client_side
            bench.write(frame(raw.PING, b"x" * 100, masked=masked) * (PINGS))
            await bench.events.until(lambda: bool(bench.events.writability), "too much waits")
            most = bench.transport.get_write_buffer_size()
            before = bench.events.signs_of_life
            await asyncio.sleep(0.6)
            assert bench.transport.get_write_buffer_size() <= most < HIGH_WATER + 32 * 1024
            # neither stopped for good nor read as fast as it writes
            assert 0 < bench.events.signs_of_life - before < 100

            bench.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            bench.write(frame(raw.PING, b"last", masked=masked))
            while (await bench.read_frame()).payload != b"last":
                pass
            assert bench.events.signs_of_life == PINGS + 1

    async def test_messages_between_unread_pings_arrive(self) -> None:
        """The peer may be blocked in a write, and read only afterwards."""
        async with endpoint_bench(send_buffer=4096) as bench:
            bench.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            while not bench.events.writability:
                bench.endpoint.send(as_message("x" * 9000))
                await asyncio.sleep(0)
            bench.write((frame(raw.PING) * 9 + frame(raw.TEXT, b"A")) * 3)
            await bench.events.until_messages(3)

    async def test_a_few_unread_pings_delay_no_message(self) -> None:
        async with endpoint_bench(send_buffer=4096) as bench:
            bench.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            while not bench.events.writability:
                bench.endpoint.send(as_message("x" * 9000))
                await asyncio.sleep(0)
            bench.endpoint.data_received(frame(raw.PING) * 7 + frame(raw.TEXT, b"A"))
            assert bench.events.messages == [as_message("A")]

    async def test_our_pings_do_not_accumulate(self) -> None:
        async with endpoint_bench(send_buffer=4096) as bench:
            bench.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            while not bench.events.writability:
                bench.endpoint.send(as_message("x" * 9000))
                await asyncio.sleep(0)
            size = bench.transport.get_write_buffer_size()
            for number in range(1000):
                bench.endpoint.ping(b"%d" % number)
            assert bench.transport.get_write_buffer_size() == size
            bench.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            while (got := await bench.read_frame()).opcode != raw.PING:
                pass
            assert got.payload == b"999"

    async def test_the_close_frame_is_sent_to_a_peer_that_does_not_read(self) -> None:
        patient = Limits(close_timeout=1000)
        async with endpoint_bench(send_buffer=4096, limits=patient) as bench:
            bench.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
            while not bench.events.writability:
                bench.write(frame(raw.PING, b"x" * 125) * 100)
                await asyncio.sleep(0)
            bench.endpoint.close(4000, "bye")
            bench.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            while (got := await bench.read_frame()).opcode != raw.CLOSE:
                assert got.opcode == raw.PONG
            assert got.payload == (4000).to_bytes(2, "big") + b"bye"
