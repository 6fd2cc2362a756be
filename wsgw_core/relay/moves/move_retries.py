"""When a session may try again to move that had to stay."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_PAUSE = 1.0  # seconds; doubled by each attempt in vain
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class MoveRetries:
    """The attempts in vain since a session has come to its backend.

    Attributes:
        count: how many there were.
        last: the clock's time of the last one.
    """

    count: int
    last: float

    def may_try(self, now: float) -> bool:
        """Return whether it is time for a move that can wait."""
        pause = min(_FIRST_PAUSE * (1 << min(self.count, 10)), _LONGEST_PAUSE)
        return now >= self.last + pause

    def may_hurry(self, now: float) -> bool:
        """Return whether it is time for one that an operator or a plugin wants now."""
        return now >= self.last + _FIRST_PAUSE

    def failed(self, now: float) -> MoveRetries:
        """Return this with one attempt more, in vain."""
        return MoveRetries(self.count + 1, now)


NEVER_FAILED = MoveRetries(0, float("-inf"))
"""Nothing speaks against a move."""
