"""What reads a connection that has been given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_BIN = bytearray(64 * 1024)  # shared: nobody looks at what falls in


class Lingering(asyncio.BufferedProtocol):
    """Drops what still comes, until the peer closes.

    Closing with unread bytes would reset the connection, and the peer might never see why.

    Args:
        on_lost: called once, when the connection is gone.
    """

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def get_buffer(self, sizehint: int) -> bytearray:
        """See asyncio.BufferedProtocol."""
        return _BIN

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        self._on_lost()
