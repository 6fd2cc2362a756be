"""The closing handshake (RFC 6455 section 7)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from wsgw_core.api import Close, Limits
from wsgw_core.testing.fakes import as_message
from wsgw_core.websocket.frames import close_payload

from . import raw_frames as raw
from .endpoint_bench import TIMEOUT, Bench, endpoint_bench
from .raw_frames import close_frame, frame

HASTY = Limits(close_timeout=0.02)
LONG = Limits(close_timeout=100)
PATIENT = Limits(close_timeout=1000)
KIB = 1024


class HandTurnedClock:
    """A clock whose timers fire when the test says so."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: list[tuple[asyncio.TimerHandle, Callable[[], object]]] = []

    def time(self) -> float:
        return self._loop.time()

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> asyncio.Handle:
        return self._loop.call_soon(callback, *arguments)

    def call_later(
        self, delay: float, callback: Callable[..., object], *arguments: Any
    ) -> asyncio.TimerHandle:
        timer = self._loop.call_later(delay, callback, *arguments)
        self._timers.append((timer, partial(callback, *arguments)))
        return timer

    def fire(self) -> None:
        """Fires all timers that were not cancelled."""
        timers, self._timers = self._timers, []
        for timer, action in timers:
            if not timer.cancelled():
                timer.cancel()
                action()


def close_much(bench: Bench) -> None:
    """Sends 1 MiB, of which the peer takes nothing by itself, and closes."""
    bench.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads, too
    for _ in range(16):
        bench.endpoint.send(as_message("x" * 64 * KIB))
    bench.endpoint.close(1000)


async def take(bench: Bench, count: int) -> bytes:
    """Reads a number of bytes at the peer's side."""
    taken = b""
    async with asyncio.timeout(TIMEOUT):
        while len(taken) < count:
            try:
                taken += bench.peer.recv(count - len(taken))
            except BlockingIOError:
                await asyncio.sleep(0.001)
    return taken


class TestByThePeer:
    @pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
    async def test_the_peers_close_is_answered_with_the_same_code(self, code: int) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.write(close_frame(code, "grüße"))
            answer = await bench.read_frame()
            assert (answer.opcode, answer.payload[:2]) == (raw.CLOSE, code.to_bytes(2, "big"))
            assert await bench.read_to_end() == b""  # the server ends the connection
            bench.writer.close()
            assert await bench.events.until_ended() == (Close(code, "grüße"), False)

    async def test_an_empty_close_is_answered_with_an_empty_close(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.write(close_frame())
            answer = await bench.read_frame()
            assert (answer.opcode, answer.payload) == (raw.CLOSE, b"")
            assert await bench.read_to_end() == b""
            bench.writer.close()
            assert await bench.events.until_ended() == (Close(1005), False)

    async def test_a_client_lets_the_server_end_the_connection(self) -> None:
        async with endpoint_bench(client_side=True, limits=PATIENT) as bench:
            bench.write(close_frame(4000, "bye", masked=False))
            assert (await bench.read_frame()).payload[:2] == (4000).to_bytes(2, "big")
            await bench.events.until(lambda: bool(bench.events.ends), "the end")
            assert bench.events.ends == [(Close(4000, "bye"), False)]
            await asyncio.sleep(0.02)  # room for what must not happen
            assert bench.events.disconnects == 0
            bench.writer.close()
            await bench.events.until_ended()

    async def test_a_close_of_a_server_that_stays_connected_ends_after_the_timeout(self) -> None:
        async with endpoint_bench(client_side=True, limits=HASTY) as bench:
            bench.write(close_frame(4000, masked=False))
            assert await bench.events.until_ended() == (Close(4000), False)

    async def test_only_messages_before_the_close_are_taken(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            message = frame(raw.TEXT, b"A")
            bench.write(message + message + close_frame(1000) + message + close_frame(1001))
            await bench.read_frame()
            bench.writer.close()
            assert await bench.events.until_ended() == (Close(1000), False)
            assert len(bench.events.messages) == 2

    @pytest.mark.parametrize("client_side", [False, True])
    @pytest.mark.parametrize("rest", [close_frame(1001), b"\x8b\x80\0\0\0\0", b"\xff" * 200])
    @pytest.mark.parametrize(("code", "answer"), [(4000, b"\x0f\xa0"), (None, b"")])
    async def test_bytes_behind_the_close_are_ignored(
        self, *, client_side: bool, rest: bytes, code: int | None, answer: bytes
    ) -> None:
        async with endpoint_bench(client_side=client_side, limits=PATIENT) as bench:
            bench.write(frame(raw.TEXT, b"A", masked=bench.masked))
            bench.write(close_frame(code, masked=bench.masked) + rest)
            answered = await bench.read_frame()
            assert (answered.opcode, answered.payload) == (raw.CLOSE, answer)
            if not client_side:  # the server closes first
                assert await bench.read_to_end() == b""
            bench.writer.close()
            assert await bench.events.until_ended() == (Close(code or 1005), False)
            assert len(bench.events.messages) == 1

    async def test_an_invalid_close_with_bytes_behind_it_is_a_violation(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.write(close_frame(5000) + close_frame(1000))
            assert (await bench.read_frame()).payload[:2] == (1002).to_bytes(2, "big")
            bench.writer.close()
            end, violation = await bench.events.until_ended()
            assert (end.code, violation) == (1002, True)

    @pytest.mark.parametrize(
        "body",
        [
            b"\x03",
            (0).to_bytes(2, "big"),
            (999).to_bytes(2, "big"),
            (1004).to_bytes(2, "big"),
            (1005).to_bytes(2, "big"),
            (1006).to_bytes(2, "big"),
            (1015).to_bytes(2, "big"),
            (1016).to_bytes(2, "big"),
            (2999).to_bytes(2, "big"),
            (5000).to_bytes(2, "big"),
            (65535).to_bytes(2, "big"),
        ],
    )
    async def test_an_invalid_close_is_a_violation(self, body: bytes) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.CLOSE, body))
            answer = await bench.read_frame()
            assert (answer.opcode, answer.payload[:2]) == (raw.CLOSE, (1002).to_bytes(2, "big"))
            bench.writer.close()
            end, violation = await bench.events.until_ended()
            assert end.code == 1002
            assert violation

    async def test_a_reason_that_is_not_utf_8_is_a_violation(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.CLOSE, (1000).to_bytes(2, "big") + b"\xff"))
            answer = await bench.read_frame()
            assert (answer.opcode, answer.payload[:2]) == (raw.CLOSE, (1007).to_bytes(2, "big"))
            bench.writer.close()
            end, violation = await bench.events.until_ended()
            assert end.code == 1007
            assert violation


class TestByUs:
    @pytest.mark.parametrize("client_side", [False, True])
    async def test_the_answer_to_our_close_ends_the_connection(self, *, client_side: bool) -> None:
        async with endpoint_bench(client_side=client_side, limits=PATIENT) as bench:
            bench.endpoint.close(4000, "grüße")
            close = await bench.read_frame()
            assert close.opcode == raw.CLOSE
            assert close.payload == (4000).to_bytes(2, "big") + "grüße".encode()
            bench.write(close_frame(4000, "grüße", masked=bench.masked))
            if client_side:
                bench.writer.close()
            assert await bench.events.until_ended() == (Close(4000, "grüße"), False)

    async def test_the_close_frame_is_sent_once(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.endpoint.close(4000)
            bench.endpoint.close(4001)
            assert (await bench.read_frame()).payload == (4000).to_bytes(2, "big")
            bench.write(close_frame(4000))
            assert await bench.read_to_end() == b""
            bench.endpoint.close(4002)

    async def test_only_messages_before_our_close_arrive(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.endpoint.send(as_message("A"))
            bench.endpoint.close(1000)
            bench.endpoint.send(as_message("B"))
            bench.endpoint.ping(b"")
            assert (await bench.read_frame()).payload == b"A"
            assert (await bench.read_frame()).opcode == raw.CLOSE
            bench.write(close_frame(1000))
            assert await bench.read_to_end() == b""

    async def test_messages_before_the_answer_to_our_close_are_taken(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.endpoint.close(1000)
            bench.write(frame(raw.TEXT, b"A") + close_frame(1000))
            await bench.events.until_ended()
            assert bench.events.messages == [as_message("A")]

    async def test_a_paused_endpoint_reads_the_answer_to_its_close(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.endpoint.pause_reading()
            bench.endpoint.close(1000)
            bench.write(close_frame(1000))
            assert await bench.events.until_ended() == (Close(1000), False)

    async def test_a_peer_that_does_not_answer_is_dropped(self) -> None:
        async with endpoint_bench(limits=HASTY) as bench:
            bench.endpoint.close(1000)
            end, violation = await bench.events.until_ended()
            assert end.code == 1006
            assert not violation

    async def test_a_peer_that_does_not_read_is_dropped(self) -> None:
        async with endpoint_bench(limits=HASTY, send_buffer=4096) as bench:
            for _ in range(100):
                bench.endpoint.send(as_message("x" * 65536))
            bench.endpoint.close(1000)
            assert (await bench.events.until_ended())[0].code == 1006

    async def test_a_client_that_still_takes_earlier_messages_gets_more_time(self) -> None:
        clock = HandTurnedClock()
        async with endpoint_bench(limits=LONG, send_buffer=4096, clock=clock) as bench:
            close_much(bench)
            for _ in range(10):
                await take(bench, 100_000)
                clock.fire()
                assert not bench.events.ends
            rest = await take(bench, 16 * (10 + 64 * KIB) + 4 - 10 * 100_000)
            assert rest.endswith((1000).to_bytes(2, "big"))
            for _ in range(2):  # the last one has taken something
                clock.fire()
            assert (await bench.events.until_ended())[0].code == 1006

    async def test_a_client_that_takes_nothing_is_dropped(self) -> None:
        clock = HandTurnedClock()
        async with endpoint_bench(limits=LONG, send_buffer=4096, clock=clock) as bench:
            close_much(bench)
            await take(bench, 100_000)
            clock.fire()
            assert not bench.events.ends
            for _ in range(2):  # the system may have taken some more
                clock.fire()
            assert (await bench.events.until_ended())[0].code == 1006

    async def test_a_slow_backend_gets_no_more_time(self) -> None:
        clock = HandTurnedClock()
        async with endpoint_bench(
            client_side=True, limits=LONG, send_buffer=4096, clock=clock
        ) as bench:
            close_much(bench)
            await take(bench, 100_000)
            clock.fire()
            assert (await bench.events.until_ended())[0].code == 1006

    async def test_both_sides_may_close_at_once(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.endpoint.close(4000)
            bench.write(close_frame(4001, "theirs"))
            assert await bench.events.until_ended() == (Close(4001, "theirs"), False)
            assert (await bench.read_frame()).payload == (4000).to_bytes(2, "big")
            assert await bench.read_to_end() == b""

    async def test_an_abort_sends_no_close_frame(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.abort("no pong")
            assert await bench.events.until_ended() == (Close(1006, "no pong"), False)
            bench.endpoint.abort()
            bench.endpoint.close(1000)
            bench.endpoint.send(as_message("A"))
            bench.endpoint.pause_reading()
            bench.endpoint.resume_reading()


class TestWhatIsSendable:
    @pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
    def test_most_codes_are_sent_as_they_are(self, code: int) -> None:
        assert close_payload(code, "") == code.to_bytes(2, "big")

    @pytest.mark.parametrize(
        ("code", "sent"),
        [
            (1006, 1011),
            (1015, 1011),
            (1004, 1011),
            (0, 1011),
            (2000, 1011),
            (5000, 1011),
        ],
    )
    def test_codes_that_may_not_be_sent_become_1011(self, code: int, sent: int) -> None:
        assert close_payload(code, "") == sent.to_bytes(2, "big")

    def test_1005_is_sent_as_no_code(self) -> None:
        assert close_payload(1005, "reason") == b""

    def test_long_reasons_are_cut_between_characters(self) -> None:
        assert close_payload(1000, "x" * 123)[2:] == b"x" * 123
        assert close_payload(1000, "x" * 124)[2:] == b"x" * 123
        assert close_payload(1000, "ü" * 62)[2:] == "ü".encode() * 61
        assert close_payload(1000, "lone \ud800")[2:] == b"lone ?"

    async def test_the_close_frame_has_the_sendable_code_and_reason(self) -> None:
        async with endpoint_bench(limits=PATIENT) as bench:
            bench.endpoint.close(1006, "ü" * 100)
            close = await bench.read_frame()
            assert close.payload == (1011).to_bytes(2, "big") + "ü".encode() * 61


@pytest.mark.parametrize("client_side", [False, True])
async def test_a_closed_endpoint_is_freed_without_the_garbage_collector(
    *, client_side: bool
) -> None:
    gc.collect()
    gc.disable()
    try:
        async with endpoint_bench(client_side=client_side) as bench:
            endpoint = weakref.ref(bench.endpoint)
            bench.write(close_frame(1000, masked=bench.masked))
            await bench.read_frame()
            bench.writer.close()
            await bench.events.until_ended()
        del bench
        for _ in range(10):  # what the event loop still holds for its next turns
            await asyncio.sleep(0)
        assert endpoint() is None
    finally:
        gc.enable()
