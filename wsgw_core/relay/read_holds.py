"""Why one side of a session is not read for a while."""

from __future__ import annotations

from enum import IntFlag


class Hold(IntFlag):
    """The reasons."""

    LEDGER_FULL = 1
    OTHER_SIDE_SLOW = 2
    VALVES_BUSY = 4


class ReadHolds:
    """The reasons that hold for one side now: it is read again when the last one is gone."""

    __slots__ = ("_reasons",)

    def __init__(self) -> None:
        self._reasons = Hold(0)

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def __contains__(self, reason: Hold) -> bool:
        return bool(self._reasons & reason)

    def add(self, reason: Hold) -> bool:
        """Note a reason; True if it is the first, and reading has to stop."""
        first = not self._reasons
        self._reasons |= reason
        return first

    def remove(self, reason: Hold) -> bool:
        """Take a reason back; True if it was the last, and reading can go on."""
        held = bool(self._reasons)
        self._reasons &= ~reason
        return held and not self._reasons
