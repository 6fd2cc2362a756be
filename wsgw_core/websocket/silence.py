"""How long a connection has been silent, as its kernel knows."""

from __future__ import annotations

import asyncio
import socket
import sys

# struct tcp_info of linux/tcp.h: tcpi_last_data_recv, in milliseconds
_LAST_DATA_RECEIVED = slice(52, 56)


def is_silent(transport: asyncio.BaseTransport, seconds: float) -> bool:
    """Whether no byte has come for `seconds`; True where the system cannot tell (not Linux).

    A long message may take its time to come in; we see it only when it is whole.
    """
    if sys.platform != "linux":
        return True
    try:
        info = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.stop
        )
    except OSError:
        return True
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) >= seconds * 1000
