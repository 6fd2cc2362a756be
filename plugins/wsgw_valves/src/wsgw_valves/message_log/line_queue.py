"""Lines that wait to be written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pydantic_core import to_json

from wsgw_core.api import Clock, Counter, RareWarning

_EVERY = 0.1  # seconds between two writes


class LineQueue:
    """Collects lines and writes them together in the background.

    Args:
        write: writes lines, each with its line end; raises OSError or ValueError.
        most: maximum bytes that wait, including those that are being written.
        clock: for the pauses between two writes.
        warn: logs that lines were lost.
        lost: counts lost lines.

    Attributes:
        waiting_bytes: bytes of waiting lines.
    """

    def __init__(
        self,
        write: Callable[[list[bytes]], Awaitable[None]],
        most: int,
        clock: Clock,
        warn: RareWarning,
        lost: Counter,
    ) -> None:
        self._write = write
        self._most = most
        self._clock = clock
        self._warn = warn
        self._lost = lost
        self._untold = 0
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self.waiting_bytes = 0

    def put(self, line: bytes) -> None:
        """Adds a line with its line end, or counts it as lost."""
        if self.waiting_bytes + len(line) > self._most:
            self._lost.value += 1
            self._untold += 1
            return
        self.waiting_bytes += len(line)
        self._lines.append(line)
        if self._timer is None and self._writing is None:
            self._timer = self._clock.call_later(_EVERY, self._begin)

    async def flush(self) -> None:
        """Waits until all lines are written or lost."""
        while self._writing is not None or self._lines:
            if self._writing is None:
                self._begin()
            if self._writing is not None:
                await asyncio.shield(self._writing)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        lines, self._lines = self._lines, []
        size = sum(map(len, lines))
        untold, self._untold = self._untold, 0
        if untold:
            lines = [to_json({"lost": untold}) + b"\n", *lines]
        try:
            await self._write(lines)
        except (OSError, ValueError, RuntimeError) as error:
            count = len(lines) - bool(untold)
            self._lost.value += count
            self._untold += untold + count
            self._warn("cannot log messages: %s", error)
        finally:
            self.waiting_bytes -= size
            self._writing = None
            if self._lines:
                self._timer = self._clock.call_later(_EVERY, self._begin)
