"""Says when a session may try again to move after a move that failed."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_PAUSE = 1.0  # seconds; doubled by each failed move
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class MoveRetries:
    """The failed moves of a session since it came to its backend.

    Attributes:
        count: how many there were.
        last: the clock's time of the last one.
    """

    count: int
    last: float

    def may_try(self, now: float) -> bool:
        """Returns whether a move that can wait may begin; the pause grows with each failure."""
        pause = min(_FIRST_PAUSE * (1 << min(self.count, 10)), _LONGEST_PAUSE)
        return now >= self.last + pause

    def may_hurry(self, now: float) -> bool:
        """Returns whether a move may begin that an operator or a plugin wants now."""
        return now >= self.last + _FIRST_PAUSE

    def failed(self, now: float) -> MoveRetries:
        """Returns the retries after one more failed move."""
        return MoveRetries(self.count + 1, now)


NEVER_FAILED = MoveRetries(0, float("-inf"))
"""No move has failed."""
