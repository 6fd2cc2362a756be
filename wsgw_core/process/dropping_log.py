"""A log handler that never blocks: it drops and counts lines that cannot be written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..api import Counter
from .log_sampler import LogSampler
from .nonblocking_output import NonblockingOutput

_MOST = 1024 * 1024  # bytes of buffered lines
_PAUSE = 0.05  # seconds between two attempts to write
_LAST_WAIT = 1.0  # seconds to write buffered lines when the process ends


class DroppingLog(logging.Handler):
    """Writes one line for each record.

    Buffers lines while the reader is slow. When the buffer is full, the handler drops lines until
    the buffer is written; then it writes a line with their number. It also drops lines that cannot
    be written, for example to a full disk.

    LogSampler limits repeated lines.

    Args:
        descriptor: the descriptor to write to.

    Attributes:
        descriptor: see above.
        dropped: counts dropped lines; can be replaced.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.dropped = Counter("log_lines_dropped", "")
        self.addFilter(LogSampler(self._count))
        self._output = NonblockingOutput(descriptor)
        self._lines: deque[bytes] = deque()  # the first one may be written in part
        self._size = 0
        self._untold = 0  # lines dropped since that was told
        self._noted = 0  # the same, as the first one of the lines tells it
        self._full = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; called by logging, under its lock."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a malformed log record
            line = f"{record.name}: {type(error).__name__} in a log record: {record.msg!r}"
        self._put(line)

    def write_line(self, line: str) -> None:
        """Writes a line without a record."""
        with self._locked():
            self._put(line)

    def drain_by(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Lets an event loop write buffered lines; None: the next line or `flush` does."""
        with self._locked():
            self._loop = loop
            self._scheduled = False

    def flush(self) -> None:
        """Writes buffered lines, for at most a second; called when the process ends."""
        deadline = time.monotonic() + _LAST_WAIT
        with self._locked():
            self._drain()
            while self._lines and (left := deadline - time.monotonic()) > 0:
                self._output.wait(left)
                self._drain()

    def close(self) -> None:
        """Writes as many buffered lines as possible without blocking, and discards the rest."""
        with self._locked():
            self._drain()
            self._lines.clear()
            self._loop = None
            self._output.close()
        super().close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _put(self, line: str) -> None:
        if self._full or not self._lines:
            self._drain()
        data = f"{line}\n".encode(errors="backslashreplace")
        self._full = self._full or self._size + len(data) > _MOST
        if self._full:
            self._drop(1)
        else:
            self._add(data)
            self._drain()

    def _add(self, data: bytes) -> None:
        self._lines.append(data)
        self._size += len(data)

    def _drop(self, lines: int) -> None:
        self._count(lines)
        self._untold += lines

    def _count(self, lines: int = 1) -> None:
        self.dropped.value += lines

    def _drain(self) -> None:
        """Writes as many lines as possible without blocking."""
        lines = self._lines
        try:
            while lines or self._untold:
                if not lines:
                    self._note_dropped()
                written = self._output.write(lines[0])
                self._size -= written
                if written < len(lines[0]):
                    lines[0] = lines[0][written:]
                else:
                    lines.popleft()
                    self._noted = 0
        except BlockingIOError:
            self._schedule()
        except OSError:
            self._drop_all()

    def _note_dropped(self) -> None:
        """Adds a line with the number of dropped lines."""
        text = "dropped %d log lines: stderr could not be written"
        record = logging.LogRecord("wsgw.log", logging.WARNING, "", 0, text, (self._untold,), None)
        self._full = False
        self._noted, self._untold = self._untold, 0
        self._add(f"{self.format(record)}\n".encode())

    def _drop_all(self) -> None:
        self._untold += self._noted
        self._drop(len(self._lines) - bool(self._noted))
        self._noted = self._size = 0
        self._full = False
        self._lines.clear()

    def _schedule(self) -> None:
        if self._loop is not None and not self._scheduled:
            self._scheduled = True
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._loop.call_later, _PAUSE, self._go_on)

    def _go_on(self) -> None:
        with self._locked():
            self._scheduled = False
            self._drain()
