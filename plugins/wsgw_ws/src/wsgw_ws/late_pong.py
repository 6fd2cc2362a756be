"""When a pong that is late means that the backend is dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgw_core.api import Clock
    from wsgw_core.websocket import Endpoint

    from .acknowledgement import Acknowledgement

_SHORTEST_WAIT = 0.001  # seconds; the system's idea of time is coarser than ours


class LatePong:
    """Watches a backend that ought to have answered, until it answers or has to be given up.

    A frozen one may look like reading for a while, until its system is full; so what counts then
    is whether bytes were leaving us of late.

    Args:
        account: knows since when the pong is waited for.
        endpoint: to the backend.
        clock: time and timers.
        timeout: seconds for which a backend may neither write nor read.
        on_due: called when the pong has to be there, if the account is not excused.
    """

    __slots__ = ("_account", "_backlog", "_clock", "_endpoint", "_moved_at", "_timeout", "_timer")

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
        self._moved_at = float("-inf")
        self._backlog = endpoint.backlog()
        self._backlog.has_moved()  # looked at twice, at least
        # Not at once, if this is late: what waits has to be looked at again in between.
        left = max(self._time_left(), timeout / 4)
        self._timer = clock.call_later(left, on_due)

    def wait_on(self, on_due: Callable[[], None]) -> None:
        """Set the timer anew, since the account was excused."""
        self.cancel()
        self._timer = self._clock.call_later(max(self._time_left(), _SHORTEST_WAIT), on_due)

    def is_fatal(self, now: float) -> bool:
        """Whether to give the backend up; to be asked more than once before the pong is due."""
        if self._backlog.has_moved():  # the ping waits behind what is not read yet
            self._moved_at = now
        if self._account.waited(now) < self._timeout:
            return False
        silence = self._endpoint.silence()
        if silence is not None and silence < self._timeout:
            self._account.excuse(now - silence)
            return False
        if now - self._moved_at >= self._timeout / 2:
            return True
        self._account.excuse(self._moved_at)
        return False

    def cancel(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _time_left(self) -> float:
        return self._timeout - self._account.waited(self._clock.time())
