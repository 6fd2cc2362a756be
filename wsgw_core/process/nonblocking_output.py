"""Writes to a descriptor without blocking."""

from __future__ import annotations

import os
import select
import socket
import stat
from contextlib import suppress

_PIPE_BUF = getattr(select, "PIPE_BUF", 512)


class NonblockingOutput:
    """Writes to a pipe, terminal, socket or file that other processes may share.

    `O_NONBLOCK` applies to the open file, not to the descriptor, so setting it would break other
    processes that write there. So a pipe or terminal is opened again; a socket gets `MSG_DONTWAIT`.

    Args:
        descriptor: the descriptor; it stays open and unchanged.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._own: int | None = None
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(descriptor))
        elif stat.S_ISFIFO(mode) or os.isatty(descriptor):
            with suppress(OSError, AttributeError):  # not Linux, not permitted, or no reader
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
                self._own = os.open(f"/proc/self/fd/{descriptor}", flags)
            if self._own is None and hasattr(select, "poll"):
                self._poll = select.poll()
                self._poll.register(descriptor, select.POLLOUT)

    def write(self, data: bytes) -> int:
        """Writes as much as possible without blocking; returns the number of bytes.

        Raises:
            BlockingIOError: writing would block.
            OSError: writing fails, for example to a full disk or a pipe without reader.
        """
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        if self._poll is not None:
            if not self._poll.poll(0):
                raise BlockingIOError
            data = data[:_PIPE_BUF]  # a ready pipe has room for this
        return os.write(self._descriptor if self._own is None else self._own, data)

    def wait(self, seconds: float) -> None:
        """Waits until writing is possible, or until the time has passed."""
        with suppress(OSError, ValueError):
            select.select((), (self._descriptor,), (), seconds)

    def close(self) -> None:
        """Closes what this object has opened; it writes no more."""
        self._descriptor = -1
        self._poll = None
        if self._own is not None:
            os.close(self._own)
            self._own = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
