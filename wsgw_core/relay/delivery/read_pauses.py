"""Read pauses: why wsgw does not read one side of a session for a while."""

from __future__ import annotations

from enum import IntFlag, auto
from typing import Protocol

from ...api.metrics import Counter


class PauseReason(IntFlag):
    """Why a side is not read."""

    LEDGER_FULL = auto()
    OTHER_SIDE_SLOW = auto()
    VALVES_BUSY = auto()
    MEMORY_SHORT = auto()
    BACKEND_BLOCKED = auto()
    ANSWERS_AWAITED = auto()


class Readable(Protocol):
    """A side whose reading can be paused."""

    def pause_reading(self) -> None:
        """Stops reading soon; a few messages may still come."""

    def stop_reading(self) -> None:
        """Reads nothing more; messages that were read still come."""

    def resume_reading(self) -> None:
        """Reads again."""


class ReadPauses:
    """The present reasons for not reading one side; reading resumes when the last one is removed.

    While memory is the only reason, messages that were read already still come: they hold memory
    until they have gone on.

    Args:
        pauses: counts the pauses.
    """

    __slots__ = ("_pauses", "_reasons", "_side")

    def __init__(self, pauses: Counter | None = None) -> None:
        self._reasons = PauseReason(0)
        self._pauses = pauses
        self._side: Readable | None = None

    def attach(self, side: Readable | None) -> None:
        """Pauses and resumes another side from now on; None: there is none.

        Call `enforce` as soon as the side can be paused.
        """
        self._side = side

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def __contains__(self, reason: PauseReason) -> bool:
        return bool(self._reasons & reason)

    def add(self, reason: PauseReason) -> None:
        """Adds a reason; the first one pauses reading."""
        before = self._reasons
        self._reasons = before | reason
        if not before:
            self.enforce()
        elif before == PauseReason.MEMORY_SHORT != reason and self._side is not None:
            self._side.pause_reading()

    def remove(self, reason: PauseReason) -> None:
        """Removes a reason; when it was the last, reading resumes."""
        before = self._reasons
        self._reasons = before & ~reason
        if self._side is None or before == self._reasons:
            return
        if not self._reasons:
            self._side.resume_reading()
        elif self._reasons == PauseReason.MEMORY_SHORT:
            self._side.stop_reading()

    def switch(self, reason: PauseReason, pause: bool, /) -> None:
        """Adds or removes a reason."""
        if pause:
            self.add(reason)
        else:
            self.remove(reason)

    def enforce(self) -> None:
        """Pauses the side if there is a reason; it may be new, or something else has resumed it."""
        if self._reasons and self._side is not None:
            if self._pauses is not None:
                self._pauses.value += 1
            if self._reasons == PauseReason.MEMORY_SHORT:
                self._side.stop_reading()
            else:
                self._side.pause_reading()
