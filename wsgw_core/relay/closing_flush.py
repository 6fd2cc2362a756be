"""What a client that has left still has under way."""

from __future__ import annotations

from collections.abc import Callable

from ..api import BackendConnection, Clock, Close, CloseCause


class ClosingFlush:
    """Passes the client's close on, but not before all its messages are delivered.

    A backend's library may answer a close that its application has not read up to. If the backend
    died then, what was queued would be lost; so the close waits until nothing is owed.

    Args:
        close: how the client left.
        cause: why it did.
        clock: for the bound.
        timeout: seconds until `overdue` is called.
        overdue: called unless `stop` was.

    Attributes:
        close, cause: what the backend is told.
        passed_on: whether this backend was.
    """

    __slots__ = ("_timer", "cause", "close", "passed_on")

    def __init__(
        self,
        close: Close,
        cause: CloseCause,
        clock: Clock,
        timeout: float,
        overdue: Callable[[], None],
    ) -> None:
        self.close = close
        self.cause = cause
        self.passed_on = False
        self._timer = clock.call_later(timeout, overdue)

    def pass_on(self, connection: BackendConnection) -> None:
        """Close the connection, unless it was."""
        if not self.passed_on:
            self.passed_on = True
            connection.close(self.close.code, self.close.reason, self.cause)

    def stop(self) -> None:
        """Forget the bound."""
        self._timer.cancel()
