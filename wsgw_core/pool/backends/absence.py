"""A backend that is away: the last dial has failed, and through no fault of its client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_AT_ONCE = float("-inf")


class Absence:
    """Has one dial at a time find out whether the backend is back: the scout.

    That is for sessions that wait for a backend; all others are spared the dial. New clients, which
    cannot wait, dial as if it were there, and what is answered to one of them is news for all.

    All times are the event loop's, in seconds.

    Attributes:
        is_away: whether nobody was answered since a dial has failed, or a connection was lost.
    """

    __slots__ = ("_has_scout", "_looked_at", "is_away")

    def __init__(self) -> None:
        self.is_away = False
        self._has_scout = False
        self._looked_at = _AT_ONCE

    def begin(self, now: float = _AT_ONCE) -> None:
        """Records that the backend is away.

        Args:
            now: when a dial has failed; by default, no dial has yet: a scout may begin at once.
        """
        if not self.is_away:
            self.is_away = True
            self._looked_at = now

    def end(self) -> bool:
        """Records that a dial was answered; returns whether that is news."""
        was_away, self.is_away = self.is_away, False
        return was_away

    def allows(self, now: float, every: float) -> bool:
        """Returns whether a session that can wait may dial, as the scout if the backend is away.

        Args:
            now: the time.
            every: seconds that must be over since the last scout.
        """
        return not self.is_away or (not self._has_scout and now >= self._looked_at + every)

    @contextmanager
    def dial(self, *, as_scout: bool) -> Iterator[bool]:
        """Dials meanwhile, as the scout if the backend is away and the session may be it.

        Yields whether it is the scout.
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
