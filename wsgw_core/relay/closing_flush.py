"""What a client that has left still has under way."""

from __future__ import annotations

from collections.abc import Callable

from ..api import BackendConnection, Clock, Close
from ..websocket.close_codes import GOING_AWAY, LOST, NO_CODE, NORMAL


class ClosingFlush:
    """Passes the client's close on, but not before all its messages are delivered.

    A backend's library may answer a close that its application has not read up to. If the backend
    died then, what was queued would be lost; so the close waits until nothing is owed.

    Args:
        close: how the client left.
        clock: for the bound.
        timeout: seconds until `overdue` is called.
        overdue: called unless `stop` was.

    Attributes:
        close: what the backend is told.
        passed_on: whether this backend was.
    """

    __slots__ = ("_timer", "close", "passed_on")

    def __init__(
        self, close: Close, clock: Clock, timeout: float, overdue: Callable[[], None]
    ) -> None:
        self.close = close
        self.passed_on = False
        self._timer = clock.call_later(timeout, overdue)

    def pass_on(self, connection: BackendConnection) -> None:
        """Close the connection, unless it was."""
        if not self.passed_on:
            self.passed_on = True
            connection.close(self.close.code, self.close.reason)

    def stop(self) -> None:
        """Forget the bound."""
        self._timer.cancel()


def told_to_backend(close: Close, *, violation: bool) -> Close:
    """Return what a backend hears of the way in which a client has left.

    Args:
        close: what the client sent; 1006 when it was lost.
        violation: the client was closed for breaking the protocol or a limit.
    """
    if violation:
        return Close(GOING_AWAY, close.reason)
    if close.code == LOST:
        return Close(GOING_AWAY, "client lost")
    return Close(NORMAL) if close.code == NO_CODE else close
