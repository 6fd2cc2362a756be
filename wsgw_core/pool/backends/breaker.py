"""Keeps sessions away from a backend that fails repeatedly."""

from __future__ import annotations

import random

_FIRST_PAUSE = 0.5  # seconds from a trip to the first trial
_LONGEST_PAUSE = 2.0  # held clients must get a returning backend soon
_JITTER = 0.25


class Breaker:
    """Trips after several failures in a row, and then allows one trial at a time.

    A trial is a dial that is made while other backends serve. BackendGroup and DialLimiter decide
    about clients that have no other backend.

    A new connection closes the breaker on probation: until a connection has proved itself, a single
    failure trips the breaker again. So a backend that accepts and drops connections is treated like
    one that refuses them.

    All times are those of one monotonic clock, in seconds.

    Args:
        threshold: failures in a row that trip the breaker; negative: it never trips.

    Attributes:
        tripped: whether to skip the backend, except for trials.
        on_probation: whether a connection has closed the breaker and none has proved itself since.
        trips: how often the breaker has tripped.
        failed_at: the time of the last failure.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._failures = 0  # in a row
        self._pause = _FIRST_PAUSE
        self._next_trial = 0.0
        self._next_retry = 0.0
        self._trying = False
        self._unreachable = False  # at the last failure
        self.tripped = False
        self.on_probation = False
        self.trips = 0
        self.failed_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Returns whether a dial is allowed while there are other backends."""
        return not self.tripped or (not self._trying and now >= self._next_trial)

    def allows_retry(self, now: float) -> bool:
        """Returns whether a waiting session may dial although the breaker is tripped.

        It allows one dial every half second; true uses up this turn.
        """
        if now < self._next_retry:
            return False
        self._next_retry = now + _FIRST_PAUSE
        return True

    def begin(self) -> bool:
        """Records the beginning of a dial; returns whether it is the trial."""
        is_trial = self.tripped and not self._trying
        self._trying = self._trying or is_trial
        return is_trial

    def end_trial(self) -> None:
        """Records the end of a trial, whatever its outcome."""
        self._trying = False

    @property
    def is_unreachable(self) -> bool:
        """Whether it is tripped and the last failure was that no connection could be made."""
        return self.tripped and self._unreachable

    def failed(self, now: float, *, unreachable: bool = False) -> bool:
        """Counts a failure of the backend; returns whether it trips the breaker.

        Args:
            now: the time.
            unreachable: whether no connection could be made.
        """
        self._failures += 1
        self._unreachable = unreachable
        self.failed_at = now
        self.on_probation = False
        if self.tripped:
            if now >= self._next_trial:  # else the dial had begun before it tripped
                self._wait(now)
        elif 0 <= self._threshold <= self._failures:
            self.tripped = True
            self.trips += 1
            self._wait(now)
            return True
        return False

    def connected(self) -> bool:
        """Records a new connection; returns whether the breaker was tripped."""
        # The failures before still count, so the next one trips it again.
        was_tripped, self.tripped = self.tripped, False
        self.on_probation = self.on_probation or was_tripped
        return was_tripped

    def proved(self) -> None:
        """Records that a connection has proved itself, and forgets earlier failures."""
        if not self.tripped:
            self._failures = 0
            self.on_probation = False
            self._pause = _FIRST_PAUSE

    def reset(self) -> None:
        """Forgets all failures."""
        self.tripped = False
        self.proved()

    def _wait(self, now: float) -> None:
        jittered = self._pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self._next_trial = now + jittered
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
