"""The log of a backend of the drill.

One call writes each line, before the backend acts on the event, so that a SIGKILL loses none. It
can cut the line that is being written, whose event then has not happened:

    TIME open CONNECTION - REPLAYED        a connection was made; -1: not by a failover
    TIME stack CONNECTION CLIENT NUMBER    the backend has the message
    TIME read CONNECTION CLIENT NUMBER     the application has read it
    TIME again CONNECTION CLIENT NUMBER    the same, and the message says that an earlier attempt or
                                           backend may have had it
    TIME corrupt CONNECTION - 0            it has read a message that no client had sent
    TIME close CONNECTION - 0              the backend has the close

TIME is the machine's monotonic clock in nanoseconds, the same for all processes. CONNECTION is
PROCESS-NAME.
"""

from __future__ import annotations

import os
import time

CUT = " cut"
"""How a line ends that the end of an earlier life has cut."""


class Log:
    """The log file, open for appending, since several lives of a backend write to it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, f"{CUT}\n".encode())

    def write(self, kind: str, connection: str, client: str = "-", number: int = 0) -> None:
        """Writes one line."""
        line = f"{time.monotonic_ns()} {kind} {connection} {client} {number}\n"
        os.write(self._file, line.encode())
