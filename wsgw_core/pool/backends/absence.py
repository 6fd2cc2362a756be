"""A backend that is away: its last dial has failed, and not because of the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_AT_ONCE = float("-inf")


class Absence:
    """Lets one dial at a time, the scout, find out whether the backend is back.

    A waiting session is the scout; the other waiting sessions do not dial. New clients cannot wait
    and dial as if the backend were there; an answer to one of them ends the absence for all.

    All times are the event loop's, in seconds.

    Attributes:
        is_away: whether a dial failed or a connection was lost, and no dial was answered since.
    """

    def __init__(self) -> None:
        self.is_away = False
        self._has_scout = False
        self._looked_at = _AT_ONCE

    def begin(self, now: float = _AT_ONCE) -> None:
        """Records that the backend is away.

        Args:
            now: when a dial failed. By default none has, and a scout may begin at once.
        """
        if not self.is_away:
            self.is_away = True
            self._looked_at = now

    def end(self) -> bool:
        """Records that a dial was answered; returns whether the backend was away."""
        was_away, self.is_away = self.is_away, False
        return was_away

    def allows(self, now: float, every: float) -> bool:
        """Returns whether a session that can wait may dial, as the scout if the backend is away.

        Args:
            now: the time.
            every: the minimum seconds since the last scout.
        """
        return not self.is_away or (not self._has_scout and now >= self._looked_at + every)

    @contextmanager
    def dial(self, *, as_scout: bool) -> Iterator[bool]:
        """Covers one dial, and yields whether it is the scout.

        Args:
            as_scout: whether the session may be the scout.
        """
        if not as_scout or not self.is_away or self._has_scout:
            yield False
            return
        self._has_scout = True
        try:
            yield True
        finally:
            self._has_scout = False
            self._looked_at = asyncio.get_running_loop().time()
