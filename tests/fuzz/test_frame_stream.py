"""Any bytes after a handshake are read as another implementation reads them, without a fault."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from .frame_stream import MAX_FRAGMENTS, MAX_SIZE, Stream, check

TAIL = b"\x00\x00\xff\xff"


@dataclass(frozen=True)
class Piece:
    """A frame, or almost a frame."""

    opcode: int
    payload: bytes
    fin: bool = True
    reserved: int = 0
    deflated: bool = False
    long_form: int = 0
    wrong_mask: bool = False


def lengths() -> st.SearchStrategy[bytes]:
    """Generates short and long payloads, and some around the bound."""
    sizes = st.sampled_from([125, 126, 127, MAX_SIZE - 1, MAX_SIZE, MAX_SIZE + 1, MAX_SIZE * 3])
    return st.one_of(
        st.binary(max_size=30),
        st.text(max_size=10).map(str.encode),
        sizes.map(lambda size: b"x" * size),
    )


GOOD = st.builds(
    Piece,
    opcode=st.sampled_from([0, 1, 2, 0, 1, 2, 9, 10]),
    payload=lengths(),
    fin=st.booleans(),
    deflated=st.booleans(),
)
BAD = st.builds(
    Piece,
    opcode=st.integers(0, 15),
    payload=lengths(),
    fin=st.booleans(),
    reserved=st.integers(0, 7),
    deflated=st.booleans(),
    long_form=st.integers(0, 2),
    wrong_mask=st.booleans(),
)
CLOSES = st.builds(
    Piece,
    opcode=st.just(8),
    payload=st.one_of(
        st.binary(max_size=4),
        st.builds(
            lambda code, reason: struct.pack("!H", code) + reason,
            st.one_of(st.integers(999, 1016), st.integers(2999, 5001), st.integers(0, 65535)),
            st.one_of(st.text(max_size=10).map(str.encode), st.binary(max_size=5)),
        ),
    ),
)


def serialise(pieces: list[Piece], *, masked: bool) -> bytes:
    """Writes the frames; compressed ones share a context."""
    compressor = zlib.compressobj(wbits=-12)
    data = b""
    for piece in pieces:
        payload, reserved = piece.payload, piece.reserved
        if piece.deflated:
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            payload = payload.removesuffix(TAIL) if piece.fin else payload
            reserved |= 4 if piece.opcode in (1, 2) else 0
        size = len(payload)
        mask_bit = (masked != piece.wrong_mask) << 7
        form = max(piece.long_form, 0 if size < 126 else 1 if size < 65536 else 2)
        first = bytes([(piece.fin << 7) | (reserved << 4) | piece.opcode])
        second = [
            bytes([mask_bit | min(size, 125)]),
            bytes([mask_bit | 126]) + struct.pack("!H", min(size, 65535)),
            bytes([mask_bit | 127]) + struct.pack("!Q", size),
        ][form]
        key = b"\1\2\3\4" if mask_bit else b""
        if key:
            payload = bytes(byte ^ key[place & 3] for place, byte in enumerate(payload))
        data += first + second + key + payload
    return data


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Generates mostly valid frames, sometimes with other bytes among or after them."""
    client_side, compressed = draw(st.booleans()), draw(st.booleans())
    pieces = draw(st.lists(GOOD, max_size=8))
    pieces += draw(st.lists(st.one_of(BAD, CLOSES), max_size=2))
    pieces += draw(st.lists(GOOD, max_size=2))
    data = serialise(pieces, masked=not client_side)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=4)) + data[place + draw(st.integers(0, 4)) :]
    cuts = draw(st.lists(st.integers(1, 200), max_size=4))
    return Stream(data, tuple(cuts), client_side, compressed)


@settings(max_examples=600)
@given(streams())
def test_valid_and_invalid_frames_are_read_alike(stream: Stream) -> None:
    check(stream)


@settings(max_examples=200)
@given(st.binary(max_size=200))
@example(b"\x02\x00" + b"\xc1\x83" + b"\0\0\0\0" + b"\xff\xff\xff")
def test_any_bytes_are_read_alike(data: bytes) -> None:
    check(Stream.from_bytes(data))


def test_comparison_sees_messages() -> None:
    """Guards against a check that compares nothing with nothing."""
    noise = os.urandom(100)
    stream = Stream(serialise([Piece(1, b"one"), Piece(2, noise, deflated=True)], masked=True))
    outcome = check(Stream(stream.data, (3,), compressed=True))
    assert [message.data for message in outcome.messages] == [b"one", noise]
    assert check(stream).violation is not None


def test_comparison_sees_the_bounds() -> None:
    fragments = [Piece(0, b"", fin=False)] * MAX_FRAGMENTS
    data = serialise([Piece(1, b"", fin=False), *fragments], masked=True)
    violation = check(Stream(data)).violation
    assert violation is not None
    assert violation.code == 1008
    full = [Piece(1, b"x" * MAX_SIZE, fin=False, deflated=True), Piece(0, b"", deflated=True)]
    assert check(Stream(serialise(full, masked=True), compressed=True)).messages
    data = serialise([Piece(1, b"x" * (MAX_SIZE + 1), deflated=True)], masked=True)
    violation = check(Stream(data, compressed=True)).violation
    assert violation is not None
    assert violation.code == 1009
