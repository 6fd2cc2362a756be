"""Messages with permessage-deflate (RFC 7692), compared with Python's zlib."""

from __future__ import annotations

import asyncio
import os
import zlib
from typing import Any

import pytest
from pydantic import ValidationError
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from wsgw_core.api import BINARY, Limits, Message
from wsgw_core.testing.fakes import as_message
from wsgw_core.websocket import CompressionOptions, Deflate

from . import raw_frames as raw
from .endpoint_bench import Bench, endpoint_bench
from .raw_frames import frame

KIB = 1024

TAIL = b"\x00\x00\xff\xff"
COMPRESSED = 4  # RSV1
LIMITS = Limits(max_message_size=1000, max_fragments=8)


def agree(offer: str = "permessage-deflate; client_max_window_bits", **options: Any) -> Deflate:
    """Makes the server's side of a handshake."""
    compression = CompressionOptions(enabled=True, **options)
    server = ServerProtocol(extensions=compression.accepted_offers())
    _, extensions = server.process_extensions(Headers({"Sec-WebSocket-Extensions": offer}))
    deflate = compression.agreed(extensions)
    assert deflate is not None
    return deflate


def agreed_as_client(answer: str, **options: Any) -> Deflate:
    """Makes the client's side of a handshake."""
    compression = CompressionOptions(enabled=True, **options)
    client = ClientProtocol(parse_uri("ws://a.test"), extensions=compression.offers())
    headers = Headers({"Sec-WebSocket-Extensions": f"permessage-deflate{answer}"})
    deflate = compression.agreed(client.process_extensions(headers))
    assert deflate is not None
    return deflate


class TestFallback:
    @pytest.mark.parametrize(
        ("answer", "window"),
        [
            ("; server_max_window_bits=12; client_max_window_bits=12", 12),
            ("; server_no_context_takeover; client_no_context_takeover", 12),
            ("", 12),
            ("; client_max_window_bits=15", 12),
            ("; client_max_window_bits=10", 10),
            ("; server_max_window_bits=8; client_max_window_bits=9", 9),
        ],
    )
    def test_messages_fit_the_window_that_the_server_keeps(self, answer: str, window: int) -> None:
        deflate = agreed_as_client(answer)
        noise = os.urandom(3000)
        takes_over = "client_no_context_takeover" not in answer
        inflate = zlib.decompressobj(wbits=-window)
        for _ in range(3):
            data = bytes(deflate.compress(noise))
            if not takes_over:
                inflate = zlib.decompressobj(wbits=-window)
            assert inflate.decompress(data + TAIL) == noise

    def test_a_server_with_the_smallest_window_gets_uncompressed_messages(self) -> None:
        assert agreed_as_client("; client_max_window_bits=8").min_size > 1 << 40
        assert agreed_as_client("; client_max_window_bits=9").min_size == 64

    def test_our_compressor_keeps_no_context_if_the_server_says_so(self) -> None:
        deflate = agreed_as_client("", no_context_takeover=True)
        assert bytes(deflate.compress(b"x" * 100)) == bytes(deflate.compress(b"x" * 100))

    @pytest.mark.parametrize(
        ("answer", "kibibytes"),
        [
            ("; server_max_window_bits=12; client_max_window_bits=12", 16 + 16 + 4 + 7),
            ("", 16 + 16 + 32 + 7),
            ("; server_no_context_takeover", 16 + 16),
            ("; client_no_context_takeover", 32 + 7),
        ],
    )
    def test_contexts_count_with_the_memory_that_zlib_documents(
        self, answer: str, kibibytes: int
    ) -> None:
        """Of the compressor its window and its state, of the decompressor the same."""
        assert agreed_as_client(answer).context_bytes == kibibytes * KIB


class Peer:
    """The other end's compressor and decompressor."""

    def __init__(self, level: int = 9) -> None:
        self._compressor = zlib.compressobj(level, wbits=-12)
        self._decompressor = zlib.decompressobj(wbits=-15)

    def compress(self, data: bytes) -> bytes:
        data = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        return data[:-4]

    def decompress(self, data: bytes) -> bytes:
        return self._decompressor.decompress(data + TAIL)


async def closed_with(bench: Bench) -> int:
    """Returns the close code that the peer gets."""
    close = await bench.read_frame()
    assert close.opcode == raw.CLOSE
    bench.writer.close()
    end, violation = await bench.events.until_ended()
    assert violation
    code = int.from_bytes(close.payload[:2], "big")
    assert end.code == code
    return code


class TestReceiving:
    @pytest.mark.parametrize("size", [1, 125, 999, 1000])
    @pytest.mark.parametrize("noise", [False, True])
    async def test_a_message_of_any_size_up_to_the_limit_is_taken(
        self, size: int, *, noise: bool
    ) -> None:
        peer = Peer()
        data = os.urandom(size) if noise else b"x" * size
        async with endpoint_bench(deflate=agree(), limits=LIMITS) as bench:
            bench.write(frame(raw.BINARY, peer.compress(data), reserved=COMPRESSED))
            bench.write(frame(raw.BINARY, peer.compress(data), reserved=COMPRESSED))
            bench.write(frame(raw.BINARY, data))
            assert await bench.events.until_messages(3) == [Message(BINARY, data)] * 3

    async def test_a_message_of_the_default_limit_is_taken(self) -> None:
        data = os.urandom(1024 * 1024)
        async with endpoint_bench(deflate=agree()) as bench:
            bench.write(frame(raw.BINARY, Peer(level=0).compress(data), reserved=COMPRESSED))
            assert await bench.events.until_messages(1) == [Message(BINARY, data)]

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("size", [1001, 1010, 1_000_000])
    @pytest.mark.parametrize("noise", [False, True])
    async def test_a_message_beyond_the_limit_is_a_violation(
        self, size: int, *, compressed: bool, noise: bool
    ) -> None:
        data = os.urandom(size) if noise else b"x" * size
        async with endpoint_bench(deflate=agree(), limits=LIMITS) as bench:
            if compressed:
                bench.write(frame(raw.BINARY, Peer().compress(data), reserved=COMPRESSED))
            else:
                bench.write(frame(raw.BINARY, data))
            assert await closed_with(bench) == 1009
            assert not bench.events.messages

    @pytest.mark.parametrize("cut", range(1, 13))
    async def test_fragments_of_a_compressed_message_are_joined(self, cut: int) -> None:
        data = Peer().compress("grüße an alle".encode())
        async with endpoint_bench(deflate=agree()) as bench:
            bench.write(frame(raw.TEXT, data[:cut], fin=False, reserved=COMPRESSED))
            bench.write(frame(raw.PING, b"between"))
            bench.write(frame(raw.CONTINUATION, data[cut:], fin=True))
            assert await bench.events.until_messages(1) == [as_message("grüße an alle")]
            assert (await bench.read_frame()).payload == b"between"

    async def test_an_empty_last_fragment_ends_a_message(self) -> None:
        data = Peer().compress(b"hello")
        async with endpoint_bench(deflate=agree()) as bench:
            bench.write(frame(raw.TEXT, data, fin=False, reserved=COMPRESSED))
            bench.write(frame(raw.CONTINUATION))
            assert await bench.events.until_messages(1) == [as_message("hello")]

    @pytest.mark.parametrize("size", [1000, 1001, 100_000])
    async def test_the_limit_applies_to_all_fragments_together(self, size: int) -> None:
        """A limit of 0 for the rest of a full message must not mean "no limit"."""
        data, peer = b"x" * size, Peer()
        async with endpoint_bench(deflate=agree(), limits=LIMITS) as bench:
            whole = peer.compress(data[:1000]) + TAIL
            bench.write(frame(raw.BINARY, whole, fin=False, reserved=COMPRESSED))
            bench.write(frame(raw.CONTINUATION, peer.compress(data[1000:])))
            if size == 1000:
                assert await bench.events.until_messages(1) == [Message(BINARY, data)]
            else:
                assert await closed_with(bench) == 1009

    async def test_uncompressed_fragments_may_come_between_compressed_messages(self) -> None:
        peer = Peer()
        async with endpoint_bench(deflate=agree()) as bench:
            for _ in range(2):
                bench.write(frame(raw.TEXT, peer.compress(b"one"), reserved=COMPRESSED))
                bench.write(frame(raw.TEXT, b"t", fin=False) + frame(raw.CONTINUATION, b"wo"))
            texts = [message.text for message in await bench.events.until_messages(4)]
            assert texts == ["one", "two"] * 2

    @pytest.mark.parametrize("octet", [b"", b"\x00"])
    @pytest.mark.parametrize("cut", [0, 3, 100])
    @pytest.mark.parametrize("offer", ["", "; client_no_context_takeover"])
    async def test_a_peer_may_end_its_stream_with_any_message(
        self, octet: bytes, cut: int, offer: str
    ) -> None:
        """See RFC 7692 section 7.2.3.4; later messages must not be lost."""
        ended = zlib.compress(b"the end", wbits=-12) + octet
        async with endpoint_bench(deflate=agree(f"permessage-deflate{offer}")) as bench:
            for text in (b"one", b"two"):
                bench.write(frame(raw.TEXT, Peer().compress(text), reserved=COMPRESSED))
                bench.write(frame(raw.TEXT, ended[:cut], fin=False, reserved=COMPRESSED))
                bench.write(frame(raw.CONTINUATION, ended[cut:]))
            texts = [message.text for message in await bench.events.until_messages(4)]
            assert texts == ["one", "the end", "two", "the end"]

    async def test_the_octet_may_come_in_a_fragment_of_its_own(self) -> None:
        ended = zlib.compress(b"the end", wbits=-12)
        async with endpoint_bench(deflate=agree()) as bench:
            for _ in range(2):
                bench.write(frame(raw.TEXT, ended, fin=False, reserved=COMPRESSED))
                bench.write(frame(raw.CONTINUATION, b"\x00"))
            assert await bench.events.until_messages(2) == [as_message("the end")] * 2

    @pytest.mark.parametrize("behind", [b"\x01", b"\x00\x00", b"more", Peer().compress(b"more")])
    @pytest.mark.parametrize("fin", [True, False])
    async def test_a_second_stream_within_one_frame_is_a_violation(
        self, behind: bytes, *, fin: bool
    ) -> None:
        data = zlib.compress(b"the end", wbits=-12) + behind
        async with endpoint_bench(deflate=agree()) as bench:
            bench.write(frame(raw.TEXT, data, fin=fin, reserved=COMPRESSED))
            assert await closed_with(bench) == 1007
            assert not bench.events.messages

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(raw.TEXT, b"\xff\xff\xff", reserved=COMPRESSED), 1007),
            (frame(raw.TEXT, Peer().compress(b"\xff"), reserved=COMPRESSED), 1007),
            (frame(raw.PING, b"", reserved=COMPRESSED), 1002),
            (frame(raw.TEXT, b"a", reserved=2), 1002),
            (frame(raw.TEXT, Peer().compress(b"a"), reserved=COMPRESSED | 1), 1002),
            (
                frame(raw.TEXT, b"a", fin=False)
                + frame(raw.CONTINUATION, b"b", reserved=COMPRESSED),
                1002,
            ),
            (frame(raw.TEXT, b"", fin=False) + frame(raw.CONTINUATION, b"", fin=False) * 8, 1008),
        ],
        ids=["garbage", "not UTF-8", "a ping", "RSV2", "RSV3", "a continuation", "fragments"],
    )
    async def test_invalid_compressed_data_is_a_violation(self, data: bytes, code: int) -> None:
        async with endpoint_bench(deflate=agree(), limits=LIMITS) as bench:
            bench.write(data)
            assert await closed_with(bench) == code

    @pytest.mark.parametrize("client_side", [False, True])
    async def test_compression_without_agreement_is_a_violation(self, *, client_side: bool) -> None:
        async with endpoint_bench(client_side=client_side) as bench:
            data = Peer().compress(b"hello")
            bench.write(frame(raw.TEXT, data, masked=bench.masked, reserved=COMPRESSED))
            assert await closed_with(bench) == 1002


class TestFragments:
    @pytest.mark.parametrize("count", [8, 9])
    async def test_the_number_of_fragments_is_limited(self, count: int) -> None:
        async with endpoint_bench(limits=LIMITS) as bench:
            bench.write(frame(raw.TEXT, b"", fin=False))
            bench.write(frame(raw.CONTINUATION, b"", fin=False) * (count - 2))
            bench.write(frame(raw.CONTINUATION, b"x"))
            if count == 8:
                assert await bench.events.until_messages(1) == [as_message("x")]
            else:
                assert await closed_with(bench) == 1008

    async def test_each_message_has_its_own_count(self) -> None:
        message = frame(raw.TEXT, b"a", fin=False) + frame(raw.CONTINUATION, b"b")
        async with endpoint_bench(limits=LIMITS) as bench:
            bench.write(message * 20)
            await bench.events.until_messages(20)


class TestSending:
    @pytest.mark.parametrize("client_side", [False, True])
    @pytest.mark.parametrize("no_context_takeover", [False, True])
    async def test_the_peer_can_read_compressed_messages(
        self, *, client_side: bool, no_context_takeover: bool
    ) -> None:
        deflate = agree(no_context_takeover=no_context_takeover)
        noise = os.urandom(500)
        messages = [noise, b"short", b"y" * 500, noise]
        peer, sizes = Peer(), []
        async with endpoint_bench(deflate=deflate, client_side=client_side) as bench:
            for message in messages:
                bench.endpoint.send(Message(BINARY, message))
            for message in messages:
                got = await bench.read_frame()
                if len(message) < 64:
                    assert (got.reserved, got.payload) == (0, message)
                else:
                    assert got.reserved == COMPRESSED
                    assert peer.decompress(got.payload) == message
                sizes.append(len(got.payload))
        assert sizes[2] < 100
        # with the context kept, the last one is only a reference to the first
        assert (sizes[3] < 100) != no_context_takeover

    async def test_control_frames_are_not_compressed(self) -> None:
        async with endpoint_bench(deflate=agree(min_size=1)) as bench:
            bench.endpoint.ping(b"12345678" * 15)
            got = await bench.read_frame()
            assert (got.opcode, got.reserved, got.payload) == (raw.PING, 0, b"12345678" * 15)
            bench.write(raw.close_frame())
            got = await bench.read_frame()
            assert (got.opcode, got.reserved, got.payload) == (raw.CLOSE, 0, b"")

    async def test_gathered_messages_keep_their_order(self) -> None:
        peer = Peer()
        async with endpoint_bench(deflate=agree()) as bench:
            bench.batch.is_open = True
            for number in range(10):
                bench.endpoint.send(Message(BINARY, b"%d" % number * 100))
            bench.batch.close()
            for number in range(10):
                assert peer.decompress((await bench.read_frame()).payload) == b"%d" % number * 100


class TestOptions:
    @pytest.mark.parametrize("value", [True, "true", {"enabled": True}])
    def test_one_key_turns_compression_on(self, value: object) -> None:
        assert CompressionOptions.model_validate(value) == CompressionOptions(enabled=True)

    def test_no_options_give_the_defaults(self) -> None:
        assert CompressionOptions().model_dump(by_alias=True) == {
            "enabled": False,
            "window-bits": 12,
            "no-context-takeover": False,
            "level": 1,
            "memory-level": 5,
            "min-size": 64,
        }

    def test_compression_is_off_by_default(self) -> None:
        assert not CompressionOptions().accepted_offers()
        assert not CompressionOptions().offers()

    @pytest.mark.parametrize(
        "value", [{"window-bits": 8}, {"window-bits": 16}, {"level": 0}, {"min-size": 0}, "perhaps"]
    )
    def test_invalid_options_are_refused(self, value: object) -> None:
        with pytest.raises(ValidationError):
            CompressionOptions.model_validate(value)

    def test_messages_of_any_size_may_be_compressed(self) -> None:
        assert CompressionOptions.model_validate({"min-size": 1}).min_size == 1

    @pytest.mark.parametrize(
        ("key", "least", "most"), [("window-bits", 9, 15), ("level", 1, 9), ("memory-level", 1, 9)]
    )
    def test_each_number_has_a_range(self, key: str, least: int, most: int) -> None:
        for allowed in (least, most):
            CompressionOptions.model_validate({key: allowed})
        for refused in (least - 1, most + 1):
            with pytest.raises(ValidationError):
                CompressionOptions.model_validate({key: refused})

    def test_without_agreement_there_is_no_compression(self) -> None:
        assert CompressionOptions(enabled=True).agreed(()) is None


class TestBombs:
    """Many messages in one read, each of which becomes a megabyte."""

    MILLION = Limits(max_message_size=1024 * 1024)
    COUNT = 50

    def read(self) -> bytes:
        peer = Peer()
        payloads = (peer.compress(bytes(1024 * 1024)) for _ in range(self.COUNT))
        return b"".join(frame(raw.BINARY, each, reserved=COMPRESSED) for each in payloads)

    async def test_each_large_message_takes_a_turn_of_its_own(self) -> None:
        async with endpoint_bench(deflate=agree(), limits=self.MILLION) as bench:
            bench.endpoint.data_received(self.read())
            before = len(bench.events.messages)
            assert before == 1
            while len(bench.events.messages) < self.COUNT:
                await asyncio.sleep(0)
                assert len(bench.events.messages) - before <= 1
                before = len(bench.events.messages)

    async def test_no_message_is_decompressed_while_paused(self) -> None:
        async with endpoint_bench(deflate=agree(), limits=self.MILLION) as bench:
            deliver = bench.events.deliver

            def deliver_two(message: Message) -> None:
                deliver(message)
                if len(bench.events.messages) == 2:
                    bench.endpoint.pause_reading()

            bench.endpoint.deliver = deliver_two
            bench.write(self.read())
            await bench.events.until_messages(2)
            await asyncio.sleep(0.02)  # room for what must not happen
            assert len(bench.events.messages) == 2
            bench.endpoint.resume_reading()
            await bench.events.until_messages(self.COUNT)
            assert {message.size for message in bench.events.messages} == {1024 * 1024}


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 16 * KIB + 16 * KIB + 4 * KIB + 7 * KIB),
        ({"window_bits": 15, "memory_level": 8}, 128 * KIB + 128 * KIB + 32 * KIB + 7 * KIB),
        ({"no_context_takeover": True}, 0),
    ],
)
async def test_lasting_bytes_count_the_compression_contexts(
    options: dict[str, Any], size: int
) -> None:
    async with endpoint_bench(deflate=agree(**options)) as bench:
        assert bench.endpoint.lasting_bytes == size


async def test_without_compression_lasting_bytes_are_zero() -> None:
    async with endpoint_bench() as bench:
        assert bench.endpoint.lasting_bytes == 0
