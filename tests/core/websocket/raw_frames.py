"""Frames as bytes (RFC 6455 section 5.2), written and read without the code under test."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MASK = b"\x11\x22\x33\x44"


@dataclass(frozen=True)
class RawFrame:
    """One frame as read."""

    opcode: int
    payload: bytes
    fin: bool = True
    masked: bool = False
    reserved: int = 0


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """Writes a frame; `reserved` are the three bits, 4 being RSV1."""
    first = (fin << 7) | (reserved << 4) | opcode
    size, mask_bit = len(payload), masked << 7
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    return head + _MASK + _mask(payload, _MASK) if masked else head + payload


def close_frame(code: int | None = None, reason: str = "", *, masked: bool = True) -> bytes:
    """Writes a close frame; without a code it is empty."""
    body = b"" if code is None else struct.pack("!H", code) + reason.encode()
    return frame(CLOSE, body, masked=masked)


async def read_frame(reader: asyncio.StreamReader) -> RawFrame:
    """Reads a frame.

    Raises:
        asyncio.IncompleteReadError: the stream ended before or in it.
    """
    first, second = await reader.readexactly(2)
    size = second & 127
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    masked = bool(second & 128)
    mask = await reader.readexactly(4) if masked else b""
    payload = await reader.readexactly(size)
    return RawFrame(
        opcode=first & 15,
        payload=_mask(payload, mask) if masked else payload,
        fin=bool(first & 128),
        masked=masked,
        reserved=(first >> 4) & 7,
    )


def _mask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
