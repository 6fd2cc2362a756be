"""Decides whether a late pong means that a connection is lost."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgw_core.api import BackendContext
    from wsgw_core.websocket import Endpoint

    from .acknowledgement import Acknowledgement
    from .liveness import Liveness

_READ_FIRST = 0.001  # seconds


class Verdict(Enum):
    """Why a connection is lost.

    DEAD: nothing comes from the backend at all. CUT_OFF: the backend lives, but its system
    acknowledges nothing on this connection. BUSY_TOO_LONG: the backend lives, but nothing comes on
    this connection.
    """

    DEAD = auto()
    CUT_OFF = auto()
    BUSY_TOO_LONG = auto()


class LatePong:
    """Watches a connection with a late pong until it answers or counts as lost.

    A frozen backend seems to read until the buffers of its system are full. So the decision depends
    on whether waiting bytes have left recently.

    Args:
        account: the connection's account, which knows how long the ping is outstanding.
        endpoint: the endpoint to the backend.
        liveness: the backend's liveness.
        context: the backend's context.
        on_due: called when it is time to ask for the `verdict`.
    """

    __slots__ = (
        "_account",
        "_backlog",
        "_busy_timeout",
        "_clock",
        "_endpoint",
        "_liveness",
        "_moved_at",
        "_on_due",
        "_timeout",
        "_timer",
    )

    def __init__(
        self,
        account: Acknowledgement,
        endpoint: Endpoint,
        liveness: Liveness,
        context: BackendContext,
        on_due: Callable[[], None],
    ) -> None:
        self._account = account
        self._endpoint = endpoint
        self._liveness = liveness
        self._clock = context.clock
        self._timeout = context.ping_timeout
        self._busy_timeout = context.busy_timeout
        self._on_due = on_due
        self._moved_at = float("-inf")
        self._backlog = endpoint.backlog()
        self._backlog.has_moved()  # it needs a second look to find a movement
        # not at once, even if this is late: there must be a second look in between
        left = self._timeout / 2 - account.waited(self._clock.time())
        self._timer = self._clock.call_later(max(left, self._timeout / 4), self._read_first)

    def look(self, now: float) -> None:
        """Checks whether the backend reads, and starts a liveness check; called regularly."""
        if self._backlog.has_moved():  # the ping waits behind unread bytes
            self._moved_at = now
        if self._silence(now) >= self._timeout / 2:
            self._liveness.ask(now)

    def verdict(self, now: float) -> Verdict | None:
        """Returns why the connection is lost; None: it goes on watching."""
        silence = self._endpoint.silence()
        if silence is not None:
            self._account.excuse(now - silence)
        self.look(now)
        if self._account.waited(now) >= self._timeout > 2 * (now - self._moved_at):
            self._account.excuse(self._moved_at)
        waited = self._account.waited(now)
        if self._silence(now) >= self._timeout:
            return Verdict.DEAD
        if waited >= self._busy_timeout:
            return Verdict.BUSY_TOO_LONG
        if waited >= self._timeout <= self._endpoint.unacknowledged_for():
            return Verdict.CUT_OFF
        self._watch_on(now)
        return None

    def cancel(self) -> None:
        """Stops watching."""
        self._timer.cancel()

    def _watch_on(self, now: float) -> None:
        """Sets the timer for the next time at which the verdict can change."""
        waited, silence = self._account.waited(now), self._silence(now)
        bounds = (
            self._timeout / 2 - silence,
            self._timeout - silence,
            self._timeout - waited,
            self._busy_timeout - waited,
        )
        left = min(each for each in bounds if each > 0)
        self._timer = self._clock.call_later(left, self._read_first)

    def _read_first(self) -> None:
        """Lets the loop first read bytes that came while it, or the process, was delayed."""
        self._timer = self._clock.call_later(_READ_FIRST, self._on_due)

    def _silence(self, now: float) -> float:
        """Returns the seconds without a byte from the backend on any connection."""
        return min(self._account.waited(now), self._liveness.silent_for(now))
