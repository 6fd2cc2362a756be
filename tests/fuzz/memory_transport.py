"""A transport without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Delivers bytes to its protocol and records what the protocol writes.

    Args:
        protocol: gets `connection_made` from `connect`.

    Attributes:
        written: all that the protocol wrote.
        lost: `connection_lost` was called.
    """

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711)})
        self._protocol = protocol
        self._paused = False
        self._closing = False
        self._waiting: list[bytes] = []
        self.written = bytearray()
        self.ended = False
        self.lost = False

    def connect(self) -> None:
        """Connects the protocol."""
        self._protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Delivers bytes, at once or when reading is resumed."""
        self._waiting.append(data)
        self._deliver()

    @property
    def unread(self) -> bytes:
        """Returns what has arrived and was not read."""
        return b"".join(self._waiting)

    def end(self) -> None:
        """Ends the input, as the other side does."""
        if not self._closing and not self._protocol.eof_received():  # type: ignore[attr-defined]  # both kinds have it
            self.close()

    def hang_up(self) -> None:
        """Breaks the connection off, as the other side does."""
        self._closing = True
        self._lose()

    def _deliver(self) -> None:
        while self._waiting and not self._paused and not self._closing:
            data, protocol = self._waiting.pop(0), self._protocol
            if not isinstance(protocol, asyncio.BufferedProtocol):
                assert isinstance(protocol, asyncio.Protocol)
                protocol.data_received(data)
                continue
            buffer = memoryview(protocol.get_buffer(len(data)))
            part, rest = data[: len(buffer)], data[len(buffer) :]
            if rest:
                self._waiting.insert(0, rest)
            buffer[: len(part)] = part
            protocol.buffer_updated(len(part))

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._protocol.connection_lost(None)

    # The transport's interface

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._deliver()

    def write(self, data: Any) -> None:
        assert not self.ended
        self.written += data

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._lose)

    abort = close
