"""When a pong that is late means that the backend is dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgw_core.api import Clock
    from wsgw_core.websocket import Endpoint

    from .acknowledgement import Acknowledgement

_READ_FIRST = 0.001  # seconds


class LatePong:
    """Watches a backend that ought to have answered, until it answers or has to be given up.

    A frozen one may look like reading for a while, until its system is full; so what counts then
    is whether bytes were leaving us of late.

    Args:
        account: knows since when the pong is waited for.
        endpoint: to the backend.
        clock: time and timers.
        timeout: seconds for which a backend may neither write nor read.
        on_due: called when the pong has to be there, unless the account was excused meanwhile; it
            asks `is_fatal`.
    """

    __slots__ = (
        "_account",
        "_backlog",
        "_clock",
        "_endpoint",
        "_moved_at",
        "_on_due",
        "_timeout",
        "_timer",
    )

    def __init__(
        self,
        account: Acknowledgement,
        endpoint: Endpoint,
        clock: Clock,
        timeout: float,
        on_due: Callable[[], None],
    ) -> None:
        self._account = account
        self._endpoint = endpoint
        self._clock = clock
        self._timeout = timeout
        self._on_due = on_due
        self._moved_at = float("-inf")
        self._backlog = endpoint.backlog()
        self._backlog.has_moved()  # looked at twice, at least
        # Not at once, if this is late: what waits has to be looked at again in between.
        self._timer = clock.call_later(max(self._time_left(), timeout / 4), self._read_first)

    def look(self, now: float) -> None:
        """See whether the backend reads; to be called every now and then."""
        if self._backlog.has_moved():  # the ping waits behind what is not read yet
            self._moved_at = now

    def is_fatal(self, now: float) -> bool:
        """Whether to give the backend up; to be asked when the pong is due.

        Else it is watched on.
        """
        self.look(now)
        silence = self._endpoint.silence()
        if silence is not None:
            self._account.excuse(now - silence)
        if now - self._moved_at < self._timeout / 2:
            self._account.excuse(self._moved_at)
        left = self._time_left()
        if left <= 0:
            return True
        self._timer = self._clock.call_later(left, self._read_first)
        return False

    def cancel(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _read_first(self) -> None:
        """Let the loop read what came while it, or this whole process, was held up."""
        self._timer = self._clock.call_later(_READ_FIRST, self._on_due)

    def _time_left(self) -> float:
        return self._timeout - self._account.waited(self._clock.time())
