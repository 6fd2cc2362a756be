"""Invalid frames: the connection ends with a reason, and the loop gets no exception."""

from __future__ import annotations

import asyncio
import struct

import pytest
from pamqp.base import Frame
from wsgw_amqp.frame_splitter import BODY, FRAME_HEAD, HEADER, METHOD, OWN_CHANNEL, FrameSplitter
from wsgw_amqp.own_channel import OwnChannel


class Transport(asyncio.Transport):
    """The transport of an own channel."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Receiver:
    """Passes frames to an own channel, and records why the connection ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.channel = OwnChannel(max_size=1000, on_closed=self.ends.append)
        self.frame_received = self.channel.frame_received

    def read_done(self) -> None:
        pass

    def notice_received(self, notice: Frame) -> None:
        raise AssertionError(notice)

    def flow_changed(self, *, is_paused: bool) -> None:
        raise AssertionError(is_paused)

    def disconnected(self, reason: str) -> None:
        self.ends.append(reason)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return FRAME_HEAD.pack(kind, channel, len(payload)) + payload + b"\xce"


CLOSE = struct.pack("!HH", 10, 50)  # connection.close, without arguments


@pytest.mark.parametrize(
    "data",
    [
        frame(METHOD, OWN_CHANNEL, b""),
        frame(METHOD, OWN_CHANNEL, b"\0"),
        frame(METHOD, OWN_CHANNEL, struct.pack("!HH", 20, 40)),
        frame(METHOD, OWN_CHANNEL, b"\xff" * 4),
        frame(HEADER, OWN_CHANNEL, b"\0\x3c"),
        frame(METHOD, 0, b""),
        frame(METHOD, 0, CLOSE),
        FRAME_HEAD.pack(9, OWN_CHANNEL, 1) + b"x\xce",
        FRAME_HEAD.pack(BODY, OWN_CHANNEL, 1) + b"x!",
    ],
)
async def test_invalid_frame_ends_connection_with_reason(data: bytes) -> None:
    receiver, transport = Receiver(), Transport()
    splitter = FrameSplitter(receiver, asyncio.get_running_loop())
    splitter.connection_made(transport)
    splitter.data_received(data)
    assert receiver.ends
    assert all(receiver.ends)
