"""How long a connection has been silent, and whether its peer still reads, as the kernel knows."""

from __future__ import annotations

import asyncio
import socket
import sys

LEAST_RATE = 256  # bytes a second; a client that takes less, on average, is given up as too slow

# struct tcp_info of linux/tcp.h
_UNACKNOWLEDGED = slice(24, 28)  # tcpi_unacked, in segments
_LAST_DATA_RECEIVED = slice(52, 56)  # tcpi_last_data_recv, in milliseconds
_LAST_ACK_RECEIVED = slice(56, 60)  # tcpi_last_ack_recv, in milliseconds
_BYTES_ACKED = slice(120, 128)  # tcpi_bytes_acked
_NOT_SENT = slice(144, 148)  # tcpi_notsent_bytes


def silence_of(transport: asyncio.BaseTransport) -> float | None:
    """Returns how many seconds ago the last byte came; None where the system cannot tell.

    A long message may take its time to come in; we see it only when it is whole. Linux knows to a
    few milliseconds, others do not.
    """
    info = _tcp_info(transport, _LAST_DATA_RECEIVED.stop)
    if info is None:
        return None
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1000


def taken_from(transport: asyncio.Transport) -> int:
    """Returns a number that grows by each byte that the peer's system acknowledges.

    Where our system cannot tell, it grows as the transport's buffer falls.
    """
    info = _tcp_info(transport, _BYTES_ACKED.stop)
    if info is None or len(info) < _BYTES_ACKED.stop:
        return -transport.get_write_buffer_size()
    return int.from_bytes(info[_BYTES_ACKED], sys.byteorder)


def unacknowledged_for(transport: asyncio.BaseTransport) -> float:
    """Returns for how many seconds the peer's system has acknowledged nothing of what it was sent.

    0: nothing is under way, or the system cannot tell. A system acknowledges at once, whatever its
    processes do; one that does not is gone, or the network loses what is sent to it.
    """
    info = _tcp_info(transport, _LAST_ACK_RECEIVED.stop)
    if info is None or not any(info[_UNACKNOWLEDGED]):
        return 0.0
    return int.from_bytes(info[_LAST_ACK_RECEIVED], sys.byteorder) / 1000


class Backlog:
    """Tells a peer that reads slowly from one that does not read.

    What its kernel takes says nothing of the peer: the kernel of a frozen process goes on taking
    until it is full. But if bytes had to wait for room, and then left, somebody has made room.

    Args:
        transport: to the peer.
    """

    __slots__ = ("_acknowledged", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._acknowledged: int | None = None  # when bytes were last seen waiting

    def has_moved(self) -> bool:
        """Whether bytes that waited at the last call have left; False where nobody can tell."""
        info = _tcp_info(self._transport, _NOT_SENT.stop)
        if info is None or len(info) < _NOT_SENT.stop:
            return False
        acknowledged = int.from_bytes(info[_BYTES_ACKED], sys.byteorder)
        moved = self._acknowledged is not None and acknowledged > self._acknowledged
        waiting = any(info[_NOT_SENT]) or self._transport.get_write_buffer_size()
        self._acknowledged = acknowledged if waiting else None
        return moved


def _tcp_info(transport: asyncio.BaseTransport, size: int) -> bytes | None:
    """Returns the beginning of the socket's `tcp_info`; None where there is none."""
    if sys.platform != "linux":
        return None
    own = transport.get_extra_info("socket")
    try:
        return bytes(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)) if own else None
    except (OSError, ValueError):  # it is closed, as asyncio and uvloop say it
        return None
