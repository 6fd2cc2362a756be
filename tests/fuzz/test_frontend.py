"""Clients that send any bytes in any pieces are answered or dropped, and leave nothing behind."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode

from wsgw_core.frontend.handshake import ClientHandshake
from wsgw_core.testing.fakes import FakeBackend, Hang
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..core.frontend.frontend_bench import FrontendBench
from .frontend import HANDSHAKE, SEEDS, check
from .memory_transport import MemoryTransport

HELLO = bytes.fromhex("8185 00000000") + b"hello"
CLOSE = bytes.fromhex("8882 00000000 03e8")
_FRAMES = st.one_of(
    st.sampled_from([HELLO, CLOSE, bytes.fromhex("0180 00000000"), bytes.fromhex("8080 00000000")]),
    st.binary(max_size=12),
)


@settings(max_examples=400)
@given(st.integers(0, 63), st.integers(0, 255), st.lists(_FRAMES, max_size=6).map(b"".join))
def test_any_frames_after_a_handshake_get_101_403_or_502(
    script: int, size: int, behind: bytes
) -> None:
    assert check(bytes([script, size]) + HANDSHAKE + behind).status in (101, 403, 502)


@settings(max_examples=200)
@given(
    st.integers(0, 63),
    st.integers(0, 255),
    st.integers(0, len(HANDSHAKE)),
    st.integers(0, 5),
    st.binary(max_size=5),
)
def test_almost_valid_handshakes_keep_the_rules(
    script: int, size: int, place: int, gap: int, other: bytes
) -> None:
    request = HANDSHAKE[:place] + other + HANDSHAKE[place + gap :]
    check(bytes([script, size]) + request + HELLO)


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_get_400_408_or_431(data: bytes) -> None:
    assert check(data).status in (400, 408, 431)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_seed_has_its_outcome(seed: bytes) -> None:
    outcome = check(seed)
    script = seed[0]
    assert outcome.status == {2: 403, 3: 502, 4: 502}.get(script, 101)
    if outcome.status == 101:
        assert outcome.received
    if seed.endswith(b"abc"):  # the client does not close
        opcodes = {frame.opcode for frame in outcome.frames}
        assert opcodes == ({Opcode.TEXT} if script & 8 else set())


@on_virtual_clock
async def test_flood_before_the_answer_is_dropped_after_502() -> None:
    backend = FakeBackend("blue")
    backend.will(Hang())
    bench = FrontendBench(backend)
    transport = MemoryTransport(
        ClientHandshake(bench.settings, lambda _client: None, lambda _client: None)
    )
    transport.connect()
    transport.feed(HANDSHAKE)
    for _ in range(100):
        transport.feed(b"x" * 10_000)
        await idle()
    assert len(transport.unread) > 900_000
    await asyncio.sleep(60)
    assert transport.written.startswith(b"HTTP/1.1 502 ")
    assert not transport.unread, "unread input would reset the connection and lose the answer"
    assert transport.lost
