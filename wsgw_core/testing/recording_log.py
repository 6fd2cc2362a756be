"""The log of a backend of the drill.

One call writes each line, before the backend acts on the event, so that a SIGKILL loses none:

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


class Log:
    """The log file, open for appending, since several lives of a backend write to it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, kind: str, connection: str, client: str = "-", number: int = 0) -> None:
        """Writes one line."""
        line = f"{time.monotonic_ns()} {kind} {connection} {client} {number}\n"
        os.write(self._file, line.encode())
