"""Asks the kernel how long a connection has been silent, and whether its peer still reads."""

from __future__ import annotations

import asyncio
import socket
import sys

LEAST_RATE = 256  # bytes a second; a client that takes less on average is closed as too slow

# struct tcp_info of linux/tcp.h
_RETRANSMITS = slice(2, 3)  # tcpi_retransmits, since the last acknowledgement
_UNACKNOWLEDGED = slice(24, 28)  # tcpi_unacked, in segments
_LAST_DATA_RECEIVED = slice(52, 56)  # tcpi_last_data_recv, in milliseconds
_LAST_ACK_RECEIVED = slice(56, 60)  # tcpi_last_ack_recv, in milliseconds
_BYTES_ACKED = slice(120, 128)  # tcpi_bytes_acked
_NOT_SENT = slice(144, 148)  # tcpi_notsent_bytes


def silence_of(transport: asyncio.BaseTransport) -> float | None:
    """Returns the seconds since the last byte came; None if the system does not know.

    This includes bytes of a long message, which the gateway sees only when it is complete. Linux
    knows the time to a few milliseconds, other systems do not know it.
    """
    info = _tcp_info(transport, _LAST_DATA_RECEIVED.stop)
    if info is None:
        return None
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1000


def taken_from(transport: asyncio.Transport) -> int:
    """Returns a number that grows by one for each byte that the peer's system acknowledges.

    If the gateway's system does not know it, the number grows as the transport's buffer shrinks.
    """
    info = _tcp_info(transport, _BYTES_ACKED.stop)
    if info is None or len(info) < _BYTES_ACKED.stop:
        return -transport.get_write_buffer_size()
    return int.from_bytes(info[_BYTES_ACKED], sys.byteorder)


def unacknowledged_for(transport: asyncio.BaseTransport) -> float:
    """Returns for how many seconds the peer's system has not acknowledged the bytes sent to it.

    0: all bytes are acknowledged, or were sent just now, or the gateway's system does not know. A
    system acknowledges at once, whatever its processes do. If it does not, it is gone or the
    network loses the bytes, and the gateway's system sends them again.
    """
    info = _tcp_info(transport, _LAST_ACK_RECEIVED.stop)
    # The last acknowledgement may be old because nothing was sent for a while.
    if info is None or not any(info[_UNACKNOWLEDGED]) or not any(info[_RETRANSMITS]):
        return 0.0
    return int.from_bytes(info[_LAST_ACK_RECEIVED], sys.byteorder) / 1000


class Backlog:
    """Distinguishes a peer that reads slowly from one that does not read.

    Bytes that the peer's kernel takes prove nothing: the kernel of a frozen process takes bytes
    until its buffer is full. But if bytes had to wait for room and then left, the peer has read.

    Args:
        transport: the transport to the peer.
    """

    __slots__ = ("_acknowledged", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._acknowledged: int | None = None  # when bytes were last seen waiting

    def has_moved(self) -> bool:
        """Returns whether bytes that waited at the last call have left; False if unknown."""
        info = _tcp_info(self._transport, _NOT_SENT.stop)
        if info is None or len(info) < _NOT_SENT.stop:
            return False
        acknowledged = int.from_bytes(info[_BYTES_ACKED], sys.byteorder)
        moved = self._acknowledged is not None and acknowledged > self._acknowledged
        waiting = any(info[_NOT_SENT]) or self._transport.get_write_buffer_size()
        self._acknowledged = acknowledged if waiting else None
        return moved


def _tcp_info(transport: asyncio.BaseTransport, size: int) -> bytes | None:
    """Returns the first `size` bytes of the socket's `tcp_info`; None if there is none."""
    if sys.platform != "linux":
        return None
    own = transport.get_extra_info("socket")
    try:
        return bytes(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)) if own else None
    except (OSError, ValueError):  # the socket is closed, in asyncio and in uvloop
        return None
