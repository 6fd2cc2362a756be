"""How an endpoint handles the bytes that it reads (RFC 6455 sections 5 and 7)."""

from __future__ import annotations

import asyncio
import gc

import pytest

from wsgw_core.api import BINARY, Close, Limits, Message, ReadBatch
from wsgw_core.testing.fakes import as_message

from . import raw_frames as raw
from .endpoint_bench import Bench, endpoint_bench
from .raw_frames import frame

SMALL = Limits(max_message_size=1000)


async def expect_violation(bench: Bench, code: int, *, by_peer: bool = True) -> None:
    """Checks that the peer gets the close code and the user gets the reason."""
    close = await bench.read_frame()
    assert close.opcode == raw.CLOSE
    assert int.from_bytes(close.payload[:2], "big") == code
    assert await bench.read_to_end() == b""
    bench.writer.close()
    end, violation = await bench.events.until_ended()
    assert end.code == code
    assert violation == by_peer


class TestBeginning:
    async def test_first_bytes_of_a_closed_connection_are_not_taken(self) -> None:
        async with endpoint_bench(first_bytes=None) as bench:
            bench.transport.close()
            bench.endpoint.begin(frame(raw.TEXT, b"A"))
            await bench.events.until_ended()
            assert bench.events.messages == []


class TestMessages:
    @pytest.mark.parametrize("client_side", [False, True])
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 1024 * 1024])
    async def test_a_message_of_any_size_up_to_the_limit_is_taken(
        self, size: int, *, client_side: bool
    ) -> None:
        async with endpoint_bench(client_side=client_side) as bench:
            data = bytes(range(256)) * (size // 256 + 1)
            bench.write(frame(raw.BINARY, data[:size], masked=bench.masked))
            bench.write(frame(raw.TEXT, b"x" * size, masked=bench.masked))
            messages = await bench.events.until_messages(2)
            assert messages == [Message(BINARY, data[:size]), as_message("x" * size)]

    async def test_many_messages_in_one_write_are_taken(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(b"".join(frame(raw.TEXT, str(each).encode()) for each in range(1000)))
            messages = await bench.events.until_messages(1000)
            assert [message.text for message in messages] == [str(each) for each in range(1000)]
            assert not bench.batch.is_open

    @pytest.mark.parametrize("size", [1, 1000])
    async def test_an_incomplete_frame_differs_from_an_incomplete_message(self, size: int) -> None:
        async with endpoint_bench() as bench:
            whole = frame(raw.BINARY, b"x" * 1000, fin=False)
            bench.endpoint.data_received(frame(raw.PONG) + whole[:size])
            was_in_a_frame = bench.endpoint.is_in_a_frame
            bench.endpoint.data_received(whole[size:])
            assert (was_in_a_frame, bench.endpoint.is_in_a_frame) == (True, False)
            assert bench.endpoint.is_in_a_message

    async def test_an_empty_frame_in_two_reads_is_taken_with_its_last_byte(self) -> None:
        async with endpoint_bench(client_side=True) as bench:
            for byte in frame(raw.TEXT, masked=False):
                assert bench.events.messages == []
                bench.endpoint.data_received(bytes([byte]))
            assert bench.events.messages == [as_message("")]

    async def test_bytes_of_incomplete_frames_and_messages_are_held(self) -> None:
        async with endpoint_bench() as bench:
            first = frame(raw.BINARY, b"x" * 1000, fin=False)
            last = frame(raw.CONTINUATION, b"y" * 500)
            held = [bench.endpoint.held_bytes]
            for part in (first[:600], first[600:], last[:300], last[300:]):
                bench.endpoint.data_received(part)
                held.append(bench.endpoint.held_bytes)
            assert held == [0, 600, 1000, 1300, 0]

    async def test_a_message_in_many_writes_is_taken(self) -> None:
        async with endpoint_bench() as bench:
            for byte in frame(raw.TEXT, "grüße".encode()) + frame(raw.BINARY, b"\0" * 130):
                bench.write(bytes([byte]))
                await asyncio.sleep(0)
            assert await bench.events.until_messages(2) == [
                as_message("grüße"),
                as_message(b"\0" * 130),
            ]

    async def test_messages_that_came_with_the_handshake_are_taken(self) -> None:
        early = frame(raw.TEXT, b"A") + frame(raw.TEXT, b"x" * 5000) + frame(raw.TEXT, b"C")
        async with endpoint_bench(first_bytes=early[:-3]) as bench:
            bench.write(early[-3:] + frame(raw.TEXT, b"D"))
            messages = await bench.events.until_messages(4)
            assert [message.text[0] for message in messages] == ["A", "x", "C", "D"]

    async def test_nothing_is_read_before_begin(self) -> None:
        async with endpoint_bench(first_bytes=None) as bench:
            bench.write(frame(raw.TEXT, b"A"))
            await bench.writer.drain()
            await asyncio.sleep(0.02)  # room for what must not happen
            assert bench.events.messages == []
            bench.endpoint.begin(b"")
            await bench.events.until_messages(1)

    async def test_a_pause_keeps_messages_back(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.pause_reading()
            bench.write(frame(raw.TEXT, b"A"))
            await asyncio.sleep(0.02)  # room for what must not happen
            assert bench.events.messages == []
            bench.endpoint.resume_reading()
            await bench.events.until_messages(1)


class TestFragments:
    async def test_fragments_are_joined(self) -> None:
        text = "grüße, 世界 🌍".encode()
        async with endpoint_bench() as bench:
            bench.write(frame(raw.TEXT, text[:3], fin=False))  # in the middle of a character
            bench.write(frame(raw.CONTINUATION, b"", fin=False))
            bench.write(frame(raw.CONTINUATION, text[3:9], fin=False))
            bench.write(frame(raw.CONTINUATION, text[9:]))
            bench.write(frame(raw.BINARY, b"", fin=False) + frame(raw.CONTINUATION, b"\xff"))
            bench.write(frame(raw.TEXT, b"whole"))
            assert await bench.events.until_messages(3) == [
                as_message("grüße, 世界 🌍"),
                as_message(b"\xff"),
                as_message("whole"),
            ]

    async def test_control_frames_may_come_between_fragments(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.TEXT, b"A", fin=False) + frame(raw.PING, b"alive?"))
            assert (await bench.read_frame()).payload == b"alive?"
            bench.write(frame(raw.PONG, b"unasked") + frame(raw.CONTINUATION, b"B"))
            assert await bench.events.until_messages(1) == [as_message("AB")]

    @pytest.mark.parametrize(
        "data",
        [
            frame(raw.CONTINUATION, b"A"),
            frame(raw.CONTINUATION, b"A", fin=False),
            frame(raw.TEXT, b"A", fin=False) + frame(raw.TEXT, b"B"),
            frame(raw.TEXT, b"A", fin=False) + frame(raw.BINARY, b"B", fin=False),
            frame(raw.TEXT, b"A", fin=False) + frame(raw.CONTINUATION) + frame(raw.CONTINUATION),
        ],
    )
    async def test_fragments_out_of_order_are_a_violation(self, data: bytes) -> None:
        async with endpoint_bench() as bench:
            bench.write(data)
            await expect_violation(bench, 1002)

    async def test_fragments_of_a_lost_connection_are_dropped(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.TEXT, b"A", fin=False))
            bench.writer.close()
            await bench.events.until_ended()
            assert bench.events.messages == []


class TestViolations:
    @pytest.mark.parametrize(
        "data",
        [
            frame(raw.TEXT, b"\xff"),
            frame(raw.TEXT, b"\xed\xa0\x80"),  # a surrogate
            frame(raw.TEXT, "ü".encode()[:1]),
            frame(raw.TEXT, b"A", fin=False) + frame(raw.CONTINUATION, b"\xff"),
            frame(raw.TEXT, "ü".encode()[:1], fin=False) + frame(raw.CONTINUATION, b"A"),
        ],
    )
    async def test_text_that_is_not_utf_8_is_a_violation(self, data: bytes) -> None:
        async with endpoint_bench() as bench:
            bench.write(data)
            await expect_violation(bench, 1007)
            assert bench.events.messages == []

    async def test_binary_data_may_be_anything(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.BINARY, b"\xff"))
            assert await bench.events.until_messages(1) == [as_message(b"\xff")]

    @pytest.mark.parametrize(
        "data",
        [
            frame(raw.BINARY, b"x" * 1001),
            frame(raw.BINARY, b"x" * 70_000),
            frame(raw.BINARY, b"x" * 70_000)[:14],  # its size is enough
            frame(raw.BINARY, b"x" * 600, fin=False) + frame(raw.CONTINUATION, b"x" * 401),
            frame(raw.BINARY, b"", fin=False) + frame(raw.CONTINUATION, b"x" * 1001, fin=False),
        ],
    )
    async def test_a_message_beyond_the_limit_is_a_violation(self, data: bytes) -> None:
        async with endpoint_bench(limits=SMALL) as bench:
            bench.write(data)
            await expect_violation(bench, 1009)

    async def test_a_message_of_exactly_the_limit_is_taken(self) -> None:
        async with endpoint_bench(limits=SMALL) as bench:
            bench.write(frame(raw.BINARY, b"x" * 1000))
            bench.write(frame(raw.BINARY, b"x" * 600, fin=False))
            bench.write(frame(raw.CONTINUATION, b"x" * 400))
            assert [len(each.data) for each in await bench.events.until_messages(2)] == [1000, 1000]

    @pytest.mark.parametrize("client_side", [False, True])
    async def test_an_empty_message_before_a_fragment_is_taken(self, *, client_side: bool) -> None:
        """Its head and that of the fragment look like the head of a longer frame."""
        async with endpoint_bench(limits=SMALL, client_side=client_side) as bench:
            bench.write(
                frame(raw.BINARY, masked=bench.masked)
                + frame(raw.TEXT, b"x" * 300, fin=False, masked=bench.masked)
                + frame(raw.CONTINUATION, b"x" * 300, masked=bench.masked)
            )
            assert [each.size for each in await bench.events.until_messages(2)] == [0, 600]

    async def test_the_limit_does_not_apply_to_control_frames(self) -> None:
        async with endpoint_bench(limits=Limits(max_message_size=10)) as bench:
            bench.write(frame(raw.PING, b"x" * 125))
            assert (await bench.read_frame()).payload == b"x" * 125

    @pytest.mark.parametrize("reserved", [1, 2, 4])
    @pytest.mark.parametrize("opcode", [raw.TEXT, raw.BINARY, raw.PING, raw.PONG, raw.CLOSE])
    async def test_reserved_bits_are_a_violation(self, opcode: int, reserved: int) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(opcode, b"", reserved=reserved))
            await expect_violation(bench, 1002)

    async def test_reserved_bits_of_a_fragment_are_a_violation(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.TEXT, b"A", fin=False) + frame(raw.CONTINUATION, reserved=4))
            await expect_violation(bench, 1002)

    @pytest.mark.parametrize("opcode", [3, 7, 11, 15])
    async def test_unknown_opcodes_are_a_violation(self, opcode: int) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(opcode))
            await expect_violation(bench, 1002)

    @pytest.mark.parametrize("opcode", [raw.PING, raw.PONG, raw.CLOSE])
    @pytest.mark.parametrize("long", [False, True])
    async def test_fragmented_or_long_control_frames_are_a_violation(
        self, opcode: int, *, long: bool
    ) -> None:
        async with endpoint_bench() as bench:
            bench.write(
                frame(opcode, b"\x03\xe8" + b"x" * 124) if long else frame(opcode, fin=False)
            )
            await expect_violation(bench, 1002)

    @pytest.mark.parametrize("client_side", [False, True])
    async def test_a_wrong_mask_bit_is_a_violation(self, *, client_side: bool) -> None:
        async with endpoint_bench(client_side=client_side) as bench:
            bench.write(frame(raw.TEXT, b"A", masked=client_side))
            await expect_violation(bench, 1002)
        gc.collect()  # an exception that nobody has retrieved would be reported now

    async def test_nothing_is_taken_after_a_violation(self) -> None:
        async with endpoint_bench() as bench:
            good = frame(raw.TEXT, b"A")
            bench.write(good + frame(raw.TEXT, b"\xff") + good + frame(raw.PING) + good)
            await expect_violation(bench, 1007)
            assert bench.events.messages == [as_message("A")]


class TestPings:
    async def test_pings_are_answered_in_order_with_messages(self) -> None:
        async with endpoint_bench() as bench:
            bench.write(frame(raw.PING, b"1") + frame(raw.PING) + frame(raw.PING, b"x" * 125))
            for payload in (b"1", b"", b"x" * 125):
                pong = await bench.read_frame()
                assert (pong.opcode, pong.payload) == (raw.PONG, payload)
            assert bench.events.signs_of_life == 3

    async def test_pongs_are_reported(self) -> None:
        async with endpoint_bench() as bench:
            bench.endpoint.ping(b"alive?")
            ping = await bench.read_frame()
            assert (ping.opcode, ping.payload) == (raw.PING, b"alive?")
            bench.write(frame(raw.PONG, b"alive?"))
            await bench.events.until(lambda: bool(bench.events.pongs), "a pong")
            assert bench.events.pongs == [b"alive?"]


class TestLoss:
    async def test_the_end_of_the_stream_is_reported_as_a_loss(self) -> None:
        async with endpoint_bench() as bench:
            bench.writer.close()
            end, violation = await bench.events.until_ended()
            assert end.code == 1006
            assert not violation

    async def test_a_reset_is_reported_as_a_loss(self) -> None:
        async with endpoint_bench() as bench:
            bench.reset()
            end, violation = await bench.events.until_ended()
            assert end.code == 1006
            assert not violation

    @pytest.mark.parametrize("client_side", [False, True])
    @pytest.mark.parametrize("writes", [False, True])
    async def test_data_before_a_reset_is_taken(self, *, client_side: bool, writes: bool) -> None:
        async with endpoint_bench(client_side=client_side, first_bytes=None) as bench:
            bench.write(frame(raw.TEXT, b"A", masked=bench.masked) * 100)
            await bench.writer.drain()
            bench.endpoint.send(as_message("unread there"))
            await asyncio.sleep(0.01)
            bench.reset()
            await asyncio.sleep(0.01)
            if writes:
                bench.endpoint.send(as_message("into the void"))
            bench.endpoint.begin(b"")
            end, _ = await bench.events.until_ended()
            assert end.code == 1006

    async def test_a_loss_before_begin_is_reported(self) -> None:
        async with endpoint_bench(first_bytes=None) as bench:
            bench.reset()
            await asyncio.sleep(0.01)
            bench.endpoint.begin(b"")
            assert (await bench.events.until_ended())[0].code == 1006


async def test_messages_before_the_end_of_the_stream_come_first() -> None:
    async with endpoint_bench() as bench:
        bench.write(frame(raw.TEXT, b"A") * 10)
        bench.writer.close()
        end, _ = await bench.events.until_ended()
        assert len(bench.events.messages) == 10
        assert end == Close(1006, end.reason)


class TestFaults:
    @pytest.mark.parametrize("behind", [b"", frame(raw.TEXT, b"B"), frame(raw.TEXT, b"B")[:3]])
    @pytest.mark.parametrize("before", [b"", frame(raw.TEXT, b"A") * 2])
    async def test_a_fault_of_wsgw_ends_the_connection(
        self, before: bytes, behind: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with endpoint_bench() as bench:

            def deliver(message: Message) -> None:
                if message.text == "fault":
                    raise LookupError("a bug of ours")
                bench.events.deliver(message)

            bench.endpoint.deliver = deliver
            bench.write(before + frame(raw.TEXT, b"fault") + behind)
            await expect_violation(bench, 1011, by_peer=False)
            assert len(bench.events.messages) == (2 if before else 0)
            assert "a bug of ours" in caplog.text


@pytest.mark.parametrize(
    "bad",
    [
        frame(raw.TEXT, b"\xff"),
        frame(raw.TEXT, b"\xff") + frame(raw.TEXT, b"A") + frame(raw.TEXT, b"\xff"),
        frame(raw.CONTINUATION, b"A"),
        frame(raw.TEXT, b"A", masked=False),
        frame(3),
        frame(raw.TEXT, b"A", reserved=4),
        frame(raw.PING, b"x" * 126),
        frame(raw.BINARY, b"x" * 70_000)[:14],
        frame(raw.CLOSE, b"\x03"),
        raw.close_frame(1000),
    ],
)
@pytest.mark.parametrize("behind", [b"", frame(raw.TEXT, b"B"), frame(raw.TEXT, b"B" * 20)[:7]])
async def test_an_end_during_a_read_does_not_delay_other_connections(
    bad: bytes, behind: bytes
) -> None:
    batch = ReadBatch()
    async with (
        endpoint_bench(batch=batch) as other,
        endpoint_bench(batch=batch, limits=SMALL) as bench,
    ):
        bench.endpoint.deliver = other.endpoint.send
        bench.write(frame(raw.TEXT, b"A") * 2 + bad + behind)
        for _ in range(2):
            assert (await other.read_frame()).payload == b"A"
        assert (await bench.read_frame()).opcode == raw.CLOSE
        bench.writer.close()
        await bench.events.until_ended()
        assert not batch.is_open


async def test_an_abort_during_a_read_does_not_delay_other_connections() -> None:
    async with endpoint_bench() as bench:

        def deliver(message: Message) -> None:
            if message.text == "B":
                bench.endpoint.abort()

        bench.endpoint.deliver = deliver
        bench.write(b"".join(frame(raw.TEXT, content) for content in (b"A", b"B", b"C", b"D")))
        await bench.events.until_ended()
        assert not bench.batch.is_open


async def test_a_pause_during_the_first_bytes_takes_effect() -> None:
    async with endpoint_bench(first_bytes=None) as bench:

        def deliver(message: Message) -> None:
            bench.events.deliver(message)
            bench.endpoint.pause_reading()

        bench.endpoint.deliver = deliver
        bench.endpoint.begin(frame(raw.TEXT, b"A"))
        bench.write(frame(raw.TEXT, b"B"))
        await asyncio.sleep(0.02)  # room for what must not happen
        assert [message.text for message in bench.events.messages] == ["A"]
        bench.endpoint.resume_reading()
        await bench.events.until_messages(2)


async def test_nothing_is_read_before_the_first_bytes() -> None:
    async with endpoint_bench(first_bytes=None) as bench:
        bench.write(frame(raw.TEXT, b"B"))
        bench.endpoint.resume_reading()
        await asyncio.sleep(0.02)  # room for what must not happen
        bench.endpoint.begin(frame(raw.TEXT, b"A"))
        messages = await bench.events.until_messages(2)
        assert [message.text for message in messages] == ["A", "B"]


async def test_a_pause_before_begin_lasts_until_the_resume() -> None:
    async with endpoint_bench(first_bytes=None) as bench:
        bench.endpoint.pause_reading()
        bench.endpoint.begin(frame(raw.TEXT, b"A"))
        bench.write(frame(raw.TEXT, b"B"))
        await asyncio.sleep(0.02)  # room for what must not happen
        assert bench.events.messages == []
        bench.endpoint.resume_reading()
        messages = await bench.events.until_messages(2)
        assert [message.text for message in messages] == ["A", "B"]


async def test_a_resume_before_begin_reads_from_begin_on() -> None:
    async with endpoint_bench(first_bytes=None) as bench:
        bench.endpoint.pause_reading()
        bench.endpoint.resume_reading()
        bench.endpoint.begin(b"")
        bench.write(frame(raw.TEXT, b"A"))
        await bench.events.until_messages(1)
