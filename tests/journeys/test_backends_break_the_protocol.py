"""Backends that violate the protocol in mid-session: the violation never reaches the client."""

from __future__ import annotations

import asyncio
import itertools
import struct
import zlib

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway, StartRaw
from .eventually import until
from .leak_check import no_leaks, reset
from .raw_backend import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Act,
    RawBackend,
    RawPeer,
    frame,
)

ONE = "/one"  # where backends are hostile


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


VIOLATIONS = {
    "a mask": (bytes.fromhex("8181 01020304") + b"X", 1002),
    "a mask of zeros": (bytes.fromhex("8181 00000000") + b"X", 1002),
    "rsv2": (frame(TEXT, b"X", reserved=2), 1002),
    "rsv3": (frame(TEXT, b"X", reserved=1), 1002),
    "compression that was not agreed on": (
        frame(TEXT, deflated(b"compressed " * 10), reserved=4),
        1002,
    ),
    "compressed fragments that were not agreed on": (
        frame(TEXT, deflated(b"X" * 50)[:3], reserved=4, fin=False)
        + frame(0, deflated(b"X" * 50)[3:]),
        1002,
    ),
    "a compressed ping": (frame(PING, deflated(b"X"), reserved=4), 1002),
    "opcode 3": (frame(3, b"X"), 1002),
    "opcode 7": (frame(7, b"X"), 1002),
    "opcode 11": (frame(11, b"X"), 1002),
    "opcode 15": (frame(15, b"X"), 1002),
    "text that is not utf-8": (frame(TEXT, b"X\xff"), 1007),
    "a surrogate": (frame(TEXT, b"X\xed\xa0\x80"), 1007),
    "an overlong character": (frame(TEXT, b"X\xc0\xaf"), 1007),
    "half a character": (frame(TEXT, "Xä".encode()[:-1]), 1007),
    "fragments that are not utf-8": (
        frame(TEXT, b"X", fin=False) + frame(0, b"\xc3", fin=False) + frame(0, b"X"),
        1007,
    ),
    "a continuation of nothing": (frame(0, b"X"), 1002),
    "a first fragment of nothing": (frame(0, b"X", fin=False), 1002),
    "a message amid another": (frame(TEXT, b"X", fin=False) + frame(TEXT, b"Y"), 1002),
    "a ping in fragments": (frame(PING, b"X", fin=False), 1002),
    "a long ping": (frame(PING, b"X" * 126), 1002),
    "a long pong": (frame(PONG, b"X" * 70_000), 1002),
    "a long close": (closing(1000, b"X" * 124), 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "a close in fragments": (frame(CLOSE, b"", fin=False), 1002),
    "close 0": (closing(0), 1002),
    "close 999": (closing(999), 1002),
    "close 1004": (closing(1004), 1002),
    "close 1005": (closing(1005), 1002),
    "close 1006": (closing(1006), 1002),
    "close 1015": (closing(1015), 1002),
    "close 2999": (closing(2999), 1002),
    "close 5000": (closing(5000), 1002),
    "close 65535": (closing(65535), 1002),
    "a reason that is not utf-8": (closing(1000, b"\xff"), (1002, 1007)),
    "a length of 64 bits and a sign": (b"\x82\x7f" + b"\xff" * 8, 1002),
    "a length in too long a form": (b"\x81\x7e\x00\x01X", 1002),
    "an http answer": (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", 1002),
    "a second 101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 1002),
    "a stack trace": (b"Traceback (most recent call last):\n" * 10, 1002),
    "zeros": (bytes(100), 1002),
}


async def answer_then_violate(peer: RawPeer, said: bytes, *lines: str) -> None:
    """Accept, wait for the client's message, and send a valid message before the violation."""
    await peer.write(peer.switching(*lines))
    assert await peer.read_message() == b"hello"
    await peer.write(frame(TEXT, b"before") + said)


async def expect_replay_at_the_good_backend(
    gateway: RunningGateway, client: ClientConnection, good: RawBackend
) -> None:
    """Check that the client gets the message before the violation, then only the good backend's."""
    await client.send("hello")
    received = [await client.recv()]
    received.append(await client.recv())  # the message was replayed
    await client.send("more")
    received.append(await client.recv())
    assert received == ["before", "hello", "more"]
    assert good.asked[ONE] == 1
    assert gateway.count("failovers") == 1
    assert gateway.count("dials_failed") == 0
    assert len(gateway.gateway.sessions) == 1


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_protocol_violation_moves_the_session_and_is_not_relayed(
    start_gateway: StartGateway, start_raw: StartRaw, name: str
) -> None:
    said, expected = VIOLATIONS[name]
    codes: list[int] = []

    async def act(peer: RawPeer) -> None:
        await answer_then_violate(peer, said + frame(TEXT, b"behind"))
        codes.append(await peer.until_gone())

    good, hostile = await start_raw(act), await start_raw(act, ONE)
    gateway = await start_gateway(
        good.entry(), hostile.entry()
    )  # the good client goes to the first backend
    async with no_leaks(gateway):
        async with connect(gateway.url + ONE) as client:
            await expect_replay_at_the_good_backend(gateway, client, good)
        assert client.close_code == 1000
        await until(lambda: codes, "the hostile backend was told")
        assert codes[0] == expected or (isinstance(expected, tuple) and codes[0] in expected)
        assert gateway.count("ws_violations") == 1
        assert gateway.count("ws_messages_too_big") == 0


# After compression was negotiated
COMPRESSED_VIOLATIONS = {
    "no deflate data": (frame(TEXT, b"\xff" * 20, reserved=4), 1007),
    "data behind a final block": (
        frame(TEXT, zlib.compress(b"X" * 50, wbits=-12) + b"more", reserved=4),
        1007,
    ),
    "a compressed continuation": (
        frame(TEXT, deflated(b"X" * 50)[:3], reserved=4, fin=False)
        + frame(0, deflated(b"X" * 50)[3:], reserved=4),
        1002,
    ),
    "a compressed pong": (frame(PONG, deflated(b"X"), reserved=4), 1002),
    "a compressed close": (frame(CLOSE, b"\x03\xe8", reserved=4), 1002),
    "text that is not utf-8 once decompressed": (
        frame(TEXT, deflated(b"X\xff" * 20), reserved=4),
        1007,
    ),
}
AGREED = (
    "Sec-WebSocket-Extensions: permessage-deflate; "
    "server_max_window_bits=12; client_max_window_bits=12"
)


@pytest.mark.parametrize("name", COMPRESSED_VIOLATIONS)
async def test_compression_violation_moves_the_session(
    start_gateway: StartGateway, start_raw: StartRaw, name: str
) -> None:
    said, expected = COMPRESSED_VIOLATIONS[name]
    codes: list[int] = []

    async def act(peer: RawPeer) -> None:
        await answer_then_violate(peer, said, AGREED)
        codes.append(await peer.until_gone())

    good, hostile = await start_raw(act), await start_raw(act, ONE)
    gateway = await start_gateway(good.entry(), hostile.entry(compression=True))
    async with no_leaks(gateway):
        async with connect(gateway.url + ONE) as client:
            await expect_replay_at_the_good_backend(gateway, client, good)
        await until(lambda: codes, "the hostile backend was told")
        assert codes == [expected]
        assert gateway.count("ws_violations") == 1


async def cut_off(peer: RawPeer) -> None:
    peer.writer.close()


async def cut_by_reset(peer: RawPeer) -> None:
    await asyncio.sleep(0.02)  # let the gateway read first: a RST would overtake the data
    reset(peer.writer)


async def half_closed(peer: RawPeer) -> None:
    peer.writer.write_eof()
    await peer.until_gone()


@pytest.mark.parametrize("cut", [cut_off, cut_by_reset, half_closed])
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x81",
        b"\x81\x7e\x01",
        frame(TEXT, b"X" * 500)[:300],
        frame(TEXT, b"X", fin=False),
        frame(TEXT, b"X", fin=False) + frame(0, b"Y")[:2],
        frame(CLOSE, b"\x03\xe8")[:3],
    ],
)
async def test_connection_cut_in_mid_message_moves_the_session(
    start_gateway: StartGateway, start_raw: StartRaw, said: bytes, cut: Act
) -> None:
    async def act(peer: RawPeer) -> None:
        await answer_then_violate(peer, said)
        await cut(peer)

    good, hostile = await start_raw(act), await start_raw(act, ONE)
    gateway = await start_gateway(good.entry(), hostile.entry())
    async with no_leaks(gateway):
        async with connect(gateway.url + ONE) as client:
            await expect_replay_at_the_good_backend(gateway, client, good)
        assert gateway.count("ws_violations") == 0


async def test_stall_in_mid_frame_moves_the_session(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    async def act(peer: RawPeer) -> None:
        await answer_then_violate(peer, frame(TEXT, b"X" * 500)[:300])
        await peer.until_gone()

    good, hostile = await start_raw(act), await start_raw(act, ONE)
    impatient = {"ping-timeout": "1s", "busy-timeout": "2s"}
    gateway = await start_gateway(good.entry(), hostile.entry(), failover=impatient)
    async with no_leaks(gateway), connect(gateway.url + ONE) as client:
        await expect_replay_at_the_good_backend(gateway, client, good)


class TestBeyondALimit:
    """A backend's message over a limit; another backend would send the same one."""

    @pytest.mark.parametrize(
        ("said", "limit", "told"),
        [
            (frame(BINARY, b"X" * 1025), "limits.max-message-size (1024 bytes)", 1009),
            (
                frame(TEXT, b"X" * 1000, fin=False) + frame(0, b"X" * 25),
                "limits.max-message-size (1024 bytes)",
                1009,
            ),
            (b"\x82\x7f" + struct.pack("!Q", 2**40), "limits.max-message-size (1024 bytes)", 1009),
            (b"\x82\x7f" + struct.pack("!Q", 2**62), "limits.max-message-size (1024 bytes)", 1009),
            (
                frame(TEXT, b"X", fin=False) + frame(0, fin=False) * 20,
                "limits.max-fragments (20)",
                1008,
            ),
        ],
    )
    async def test_oversized_message_ends_the_session_without_retry(
        self, start_gateway: StartGateway, start_raw: StartRaw, said: bytes, limit: str, told: int
    ) -> None:
        codes: list[int] = []

        async def act(peer: RawPeer) -> None:
            await answer_then_violate(peer, said)
            codes.append(await peer.until_gone())

        good, hostile = await start_raw(act), await start_raw(act, ONE)
        limits = {"max-message-size": 1024, "max-fragments": 20}
        gateway = await start_gateway(good.entry(), hostile.entry(), limits=limits)
        async with no_leaks(gateway):
            async with connect(gateway.url + ONE) as client:
                await client.send("hello")
                assert await client.recv() == "before"
                with pytest.raises(ConnectionClosed):
                    await client.recv()
            assert client.close_code == 1011
            assert client.close_reason == f"a message of the backend exceeds {limit}"
            await until(lambda: codes, "the backend was told")
            assert codes == [told]
            assert not good.asked[ONE]
            assert gateway.count("failovers") == 0
            assert gateway.count("ws_messages_too_big") == 1
            assert gateway.count("ws_violations") == 1

    @pytest.mark.parametrize("size", [10_000, 100_000_000])
    async def test_limit_applies_to_the_decompressed_size(
        self, start_gateway: StartGateway, start_raw: StartRaw, size: int
    ) -> None:
        bomb = deflated(b"X" * size)

        async def act(peer: RawPeer) -> None:
            just_right = frame(BINARY, deflated(b"X" * 9_999), reserved=4)
            await answer_then_violate(peer, just_right + frame(BINARY, bomb, reserved=4), AGREED)
            await peer.until_gone()

        good, hostile = await start_raw(act), await start_raw(act, ONE)
        gateway = await start_gateway(
            good.entry(), hostile.entry(compression=True), limits={"max-message-size": 9_999}
        )
        async with no_leaks(gateway):
            async with connect(gateway.url + ONE) as client:
                await client.send("hello")
                assert await client.recv() == "before"
                assert len(await client.recv()) == 9_999
                with pytest.raises(ConnectionClosed):
                    await client.recv()
            assert client.close_code == 1011
            assert not good.asked[ONE]
            assert gateway.count("ws_messages_too_big") == 1

    async def test_oversized_reply_for_a_client_that_left_counts_as_undelivered(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        async def act(peer: RawPeer) -> None:
            await peer.write(peer.switching())
            assert await peer.read_message() == b"hello"
            await peer.write(frame(BINARY, b"X" * 2000))
            await peer.until_gone()

        good, hostile = await start_raw(act), await start_raw(act, ONE)
        gateway = await start_gateway(
            good.entry(), hostile.entry(), limits={"max-message-size": 1024}
        )
        async with no_leaks(gateway):
            async with connect(gateway.url + ONE) as client:
                await client.send("hello")
            await until(lambda: gateway.count("ws_messages_too_big"), "the end")
            assert gateway.count("undelivered_messages") == 1
            assert not good.asked[ONE]


class TestAllAreHostile:
    """Failovers stop when the hold time ends, and have a backoff between them."""

    async def test_immediate_violations_end_the_session_with_1013_after_the_hold_time(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        opcodes = itertools.cycle(
            range(3, 8)
        )  # the same violation twice would end the session: see below

        async def act(peer: RawPeer) -> None:
            await peer.write(peer.switching().encode() + frame(next(opcodes)))
            await peer.until_gone()

        backends = [await start_raw(act, ONE) for _ in range(2)]
        gateway = await start_gateway(
            *(backend.entry() for backend in backends),
            failover={"hold": "3s", "max-backoff": "900ms"},
        )
        async with no_leaks(gateway):
            async with connect(gateway.url + ONE) as client:
                with pytest.raises(ConnectionClosed):
                    await client.recv()
            assert client.close_code == 1013
            dials = sum(backend.asked[ONE] for backend in backends)
            # the backoff starts at 25 to 50 ms and doubles up to 900 ms
            assert 3 <= dials <= 12
            answered = gateway.count("failovers")
            assert answered in (dials, dials - 1)  # the hold time may end during a dial
            assert gateway.count("ws_violations") == answered

    async def test_violations_after_an_acknowledgement_keep_the_backoff(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        """An acknowledgement ends a failover, but must not reset its backoff."""
        opcodes = itertools.cycle(range(3, 8))

        async def act(peer: RawPeer) -> None:
            await peer.write(peer.switching())
            opcode = 0
            while opcode != PING:
                opcode, payload = await peer.read_frame()
            await peer.write(frame(PONG, payload))
            await asyncio.sleep(0.01)
            await peer.write(frame(next(opcodes)))
            await peer.until_gone()

        backends = [await start_raw(act, ONE) for _ in range(2)]
        gateway = await start_gateway(*(backend.entry() for backend in backends))

        def asked() -> int:
            return sum(backend.asked[ONE] for backend in backends)

        async with no_leaks(gateway), connect(gateway.url + ONE) as client:
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - began < 2 or asked() < 3:
                await client.send("again")
                await asyncio.sleep(0.001)
            # it would be over a hundred if each acknowledgement reset the backoff
            assert asked() <= 20

    async def test_same_violation_by_a_second_backend_ends_the_session(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        """Only these two backends execute the request."""

        async def act(peer: RawPeer) -> None:
            await answer_then_violate(
                peer, b"\x81\x7e\x00\x01X"
            )  # the length is not in its shortest form
            await peer.until_gone()

        backends = [await start_raw(act, ONE) for _ in range(3)]
        gateway = await start_gateway(*(backend.entry() for backend in backends))
        async with no_leaks(gateway):
            async with connect(gateway.url + ONE) as client:
                await client.send("hello")
                assert [await client.recv() for _ in range(2)] == ["before"] * 2
                with pytest.raises(ConnectionClosed):
                    await client.recv()
            assert client.close_code == 1011
            assert "broke the protocol" in (client.close_reason or "")
        assert sum(backend.asked[ONE] for backend in backends) == 2
        assert gateway.count("ws_violations") == 2
