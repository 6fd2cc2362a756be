"""When a pong that is late means that a connection has to be given up."""

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
    """Why a connection is given up.

    DEAD: nothing comes from the backend at all. CUT_OFF: it lives, and its system acknowledges
    nothing on this connection. BUSY_TOO_LONG: it lives, and this connection says nothing.
    """

    DEAD = auto()
    CUT_OFF = auto()
    BUSY_TOO_LONG = auto()


class LatePong:
    """Watches a connection that ought to have answered, until it answers or has to be given up.

    A frozen backend may look like reading for a while, until its system is full; so what counts
    then is whether bytes were leaving us of late.

    Args:
        account: knows since when the pong is waited for.
        endpoint: to the backend.
        liveness: of the backend.
        context: the backend's.
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
        self._backlog.has_moved()  # looked at twice, at least
        # Not at once, if this is late: what waits has to be looked at again in between.
        left = self._timeout / 2 - account.waited(self._clock.time())
        self._timer = self._clock.call_later(max(left, self._timeout / 4), self._read_first)

    def look(self, now: float) -> None:
        """See whether the backend reads, and have it asked; to be called every now and then."""
        if self._backlog.has_moved():  # the ping waits behind what is not read yet
            self._moved_at = now
        if self._silence(now) >= self._timeout / 2:
            self._liveness.ask(now)

    def verdict(self, now: float) -> Verdict | None:
        """Return why the connection has to be given up; None: it is watched on."""
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
        """Watch no longer."""
        self._timer.cancel()

    def _watch_on(self, now: float) -> None:
        """Come back as soon as something can have changed by time alone."""
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
        """Let the loop read what came while it, or this whole process, was held up."""
        self._timer = self._clock.call_later(_READ_FIRST, self._on_due)

    def _silence(self, now: float) -> float:
        """Return for how long nothing has come from the backend, here or elsewhere."""
        return min(self._account.waited(now), self._liveness.silent_for(now))
