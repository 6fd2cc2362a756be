"""What the kernel knows of a connection: whether its peer reads."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from wsgw_core.websocket.silence import Backlog, silence_of, taken_from, unacknowledged_for

TIMEOUT = 60.0
BUFFER = 1 << 16  # bytes that the kernel should keep for either side; it may double them
MUCH = 4 << 20  # bytes; more than both buffers take

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


class Peer:
    """A connection over the loopback interface, and its peer, which reads on request.

    Args:
        transport: the side that sends.
        reading: the socket of the other side.
    """

    def __init__(self, transport: asyncio.Transport, reading: socket.socket) -> None:
        self.transport = transport
        self._reading = reading

    async def read(self, size: int) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT):
            while size:
                size -= len(await loop.sock_recv(self._reading, min(size, 1 << 16)))

    def acknowledge_later(self) -> None:
        """Makes the peer's system acknowledge the next bytes as late as over a long way."""
        self._reading.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.getsockname())
        reading, _ = server.accept()
    own = transport.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    with reading:
        reading.setblocking(False)
        yield Peer(transport, reading)
        transport.abort()
        await asyncio.sleep(0)  # for the transport to close its socket


async def test_a_backlog_moves_when_the_peer_reads_what_waited(peer: Peer) -> None:
    backlog = Backlog(peer.transport)
    assert not backlog.has_moved()
    peer.transport.write(bytes(MUCH))
    assert not backlog.has_moved()  # nothing waited before
    async with asyncio.timeout(TIMEOUT):
        while backlog.has_moved():  # noqa: ASYNC110 - until the kernels' buffers are full
            await asyncio.sleep(0.05)
    assert peer.transport.get_write_buffer_size()

    await peer.read(MUCH)

    assert backlog.has_moved()
    assert not backlog.has_moved()


async def test_bytes_that_need_not_wait_are_no_movement(peer: Peer) -> None:
    backlog = Backlog(peer.transport)
    for _ in range(3):
        assert not backlog.has_moved()
        peer.transport.write(bytes(1000))
        await peer.read(1000)
    assert not backlog.has_moved()


async def test_what_the_peer_has_taken_is_counted_in_bytes(peer: Peer) -> None:
    before = taken_from(peer.transport)
    peer.transport.write(bytes(100_000))
    await peer.read(100_000)
    async with asyncio.timeout(TIMEOUT):
        while taken_from(peer.transport) < before + 100_000:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
    assert taken_from(peer.transport) == before + 100_000


class Kernel(asyncio.Transport):
    """A transport whose kernel says what a test has set, by the places in struct tcp_info."""

    SIZE = 148  # as far as Linux 4.6 and later fill it

    def __init__(self) -> None:
        super().__init__()
        self.info = bytearray(self.SIZE)
        self.buffered = 0

    def set(self, start: int, size: int, value: int) -> None:
        self.info[start : start + size] = value.to_bytes(size, sys.byteorder)

    def get_extra_info(self, name: str, default: object = None) -> object:
        assert name == "socket"
        return self

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return bytes(self.info[:size])

    def get_write_buffer_size(self) -> int:
        return self.buffered


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_silence_is_the_time_since_the_last_data_in_seconds(kernel: Kernel) -> None:
    kernel.info[:] = b"\xff" * kernel.SIZE
    kernel.set(52, 4, 40_000_000)
    assert silence_of(kernel) == 40_000


async def test_bytes_sent_after_a_pause_are_not_unacknowledged_since_before_it(peer: Peer) -> None:
    peer.transport.write(b"x")
    await peer.read(1)
    await asyncio.sleep(0.5)
    peer.acknowledge_later()
    peer.transport.write(b"x")
    assert unacknowledged_for(peer.transport) == 0


def test_nothing_is_unacknowledged_if_no_segment_was_sent_again(kernel: Kernel) -> None:
    kernel.info[:] = b"\xff" * kernel.SIZE
    kernel.set(2, 1, 0)
    assert unacknowledged_for(kernel) == 0


def test_unacknowledged_is_the_time_since_the_last_acknowledgement(kernel: Kernel) -> None:
    kernel.info[:] = b"\xff" * kernel.SIZE
    kernel.set(2, 1, 1)
    kernel.set(24, 4, 1)
    kernel.set(56, 4, 40_000_000)
    assert unacknowledged_for(kernel) == 40_000


def test_nothing_is_unacknowledged_if_no_segment_is(kernel: Kernel) -> None:
    kernel.info[:] = b"\xff" * kernel.SIZE
    kernel.set(24, 4, 0)
    assert unacknowledged_for(kernel) == 0


@pytest.mark.parametrize("place", range(144, 148))
def test_bytes_that_wait_in_the_kernel_are_a_backlog(kernel: Kernel, place: int) -> None:
    backlog = Backlog(kernel)
    kernel.info[place] = 1
    assert not backlog.has_moved()
    assert not backlog.has_moved()
    kernel.set(120, 8, 1 << 40)
    assert backlog.has_moved()
    assert not backlog.has_moved()


def test_without_bytes_that_wait_there_is_no_backlog(kernel: Kernel) -> None:
    backlog = Backlog(kernel)
    kernel.info[:] = b"\1" * kernel.SIZE
    kernel.set(144, 4, 0)
    assert not backlog.has_moved()
    kernel.set(120, 8, 1 << 60)
    assert not backlog.has_moved()


def test_an_older_kernel_tells_less(kernel: Kernel) -> None:
    kernel.info = bytearray(127)
    kernel.buffered = 7
    assert taken_from(kernel) == -7
    backlog = Backlog(kernel)
    assert not backlog.has_moved()
    kernel.buffered = 5
    assert not backlog.has_moved()
    assert taken_from(kernel) == -5
