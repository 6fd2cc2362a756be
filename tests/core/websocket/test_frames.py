"""Frames that are passed on unchanged, and the parts of unfinished frames."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from wsgw_core.api import BINARY, TEXT, Message, MessageKind
from wsgw_core.websocket.framed_message import FramedMessage
from wsgw_core.websocket.frames import UnfinishedFrame, write_frame

from . import raw_frames as raw
from .endpoint_bench import TIMEOUT, endpoint_bench
from .raw_frames import frame

SIZES = (0, 1, 2, 125, 126, 127, 4095, 4096, 65535, 65536, 100_000)


class TestPassingOn:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("opcode", [raw.TEXT, raw.BINARY])
    async def test_a_relayed_frame_is_passed_on_unchanged(
        self, opcode: int, size: int, *, masked: bool
    ) -> None:
        async with (
            endpoint_bench(client_side=not masked) as source,
            endpoint_bench(client_side=masked) as target,
        ):
            source.endpoint.deliver = target.endpoint.send
            sent = frame(opcode, b"x" * size, masked=masked)
            source.write(sent * 3)
            async with asyncio.timeout(TIMEOUT):
                assert await target.reader.readexactly(3 * len(sent)) == sent * 3

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("client_side", [False, True])
    async def test_a_frame_for_the_same_side_is_masked_correctly(
        self, size: int, *, client_side: bool
    ) -> None:
        async with endpoint_bench(client_side=client_side) as bench:
            bench.endpoint.deliver = bench.endpoint.send
            bench.write(frame(raw.BINARY, b"x" * size, masked=bench.masked))
            back = await bench.read_frame()  # knows which
            assert (back.opcode, back.payload) == (raw.BINARY, b"x" * size)

    @pytest.mark.parametrize("size", SIZES)
    async def test_a_message_whose_data_was_read_is_masked_again(self, size: int) -> None:
        async with (
            endpoint_bench() as source,
            endpoint_bench(client_side=True) as target,
        ):

            def deliver(message: Message) -> None:
                assert message.data == b"x" * size
                target.endpoint.send(message)
                target.endpoint.send(message)

            source.endpoint.deliver = deliver
            source.write(frame(raw.TEXT, b"x" * size))
            for _ in range(2):
                got = await target.read_frame()
                assert (got.opcode, got.payload) == (raw.TEXT, b"x" * size)

    async def test_masking_keys_are_not_reused(self) -> None:
        async with endpoint_bench(client_side=True) as bench:
            for _ in range(100):
                bench.endpoint.send(Message(BINARY, b"\0" * 64))
            async with asyncio.timeout(TIMEOUT):
                sent = await bench.reader.readexactly(100 * 70)
            assert len({sent[start + 2 : start + 6] for start in range(0, 7000, 70)}) == 100


class TestFramedMessage:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_a_framed_message_equals_a_plain_one(
        self, kind: MessageKind, size: int, *, masked: bool
    ) -> None:
        plain = Message(kind, b"x" * size)
        framed = FramedMessage(kind, size, frame(kind, plain.data, masked=masked), masked=masked)
        assert framed.size == plain.size == size
        assert framed == plain
        assert hash(framed) == hash(plain)
        assert framed.text == plain.text
        assert framed.data is framed.data

    def test_a_framed_message_keeps_the_frame_or_the_payload(self) -> None:
        message = FramedMessage(BINARY, 3, frame(raw.BINARY, b"ABC"), masked=True)
        assert message.frame is not None
        assert message.data == b"ABC"
        assert message.frame is None


class TestUnfinishedFrame:
    @pytest.mark.parametrize("step", [1, 7, 4095, 4096, 50_000])
    def test_an_unfinished_frame_is_returned_whole(self, step: int) -> None:
        whole = write_frame(0x82, bytes(range(256)) * 400, masked=False)
        unfinished = UnfinishedFrame(whole[:step], len(whole))
        for start in range(step, len(whole), step):
            got = unfinished.add(whole[start : start + step])
            assert got == (whole if start + step >= len(whole) else b"")

    def test_small_reads_take_no_more_memory_than_one_large_read(self) -> None:
        size = 50_000
        tracemalloc.start()
        try:
            unfinished = UnfinishedFrame(b"\x82", size)
            for _ in range(size - 2):
                unfinished.add(b"x")
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 2 * size
