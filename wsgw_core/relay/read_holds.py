"""Why one side of a session is not read for a while."""

from __future__ import annotations

from enum import IntFlag
from typing import Protocol

from ..api.metrics import Counter


class Hold(IntFlag):
    """The reasons."""

    LEDGER_FULL = 1
    OTHER_SIDE_SLOW = 2
    VALVES_BUSY = 4
    MEMORY_SHORT = 8
    BACKEND_BLOCKED = 16


class Readable(Protocol):
    """The side that is read, or not."""

    def pause_reading(self) -> None:
        """Let no more messages come, soon."""
        ...

    def resume_reading(self) -> None:
        """Let messages come again."""
        ...


class ReadHolds:
    """The reasons that hold for one side now: it is read again when the last one is gone.

    Args:
        pauses: counts how often the side was stopped.
    """

    __slots__ = ("_pauses", "_reasons", "_side")

    def __init__(self, pauses: Counter | None = None) -> None:
        self._reasons = Hold(0)
        self._pauses = pauses
        self._side: Readable | None = None

    def attach(self, side: Readable | None) -> None:
        """Set what is stopped and resumed from now on; None: there is nothing to read.

        Followed by `enforce`, as soon as the side can be paused.
        """
        self._side = side

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def __contains__(self, reason: Hold) -> bool:
        return bool(self._reasons & reason)

    def add(self, reason: Hold) -> None:
        """Note a reason; the first one stops the reading."""
        first = not self._reasons
        self._reasons |= reason
        if first:
            self.enforce()

    def remove(self, reason: Hold) -> None:
        """Take a reason back; when it was the last, the reading goes on."""
        held = bool(self._reasons)
        self._reasons &= ~reason
        if held and not self._reasons and self._side is not None:
            self._side.resume_reading()

    def switch(self, reason: Hold, hold: bool, /) -> None:
        """Add or remove a reason."""
        if hold:
            self.add(reason)
        else:
            self.remove(reason)

    def enforce(self) -> None:
        """Stop the reading if it has to be; for a side that may be read whatever was said."""
        if self._reasons and self._side is not None:
            if self._pauses is not None:
                self._pauses.value += 1
            self._side.pause_reading()
