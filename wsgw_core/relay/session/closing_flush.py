"""Delivers what a client has left behind, then its close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session_state import State

if TYPE_CHECKING:
    from ...api import Close, CloseCause
    from .session import Session


class ClosingFlush:
    """Passes the close of a client that has left on to the backend, after all its messages.

    A backend's library may answer a close before its application has read the messages. If the
    backend died then, those messages would be lost. So the close waits until the backend has
    acknowledged everything. If the backend is lost before, another one gets the rest. Without a
    backend and with nothing left to deliver the session ends. `limits.close-timeout` bounds it all.

    Args:
        session: the client's.
        close: the close for the backend.
        cause: why the client has left.

    Attributes:
        close, cause: see above.
    """

    __slots__ = ("_is_through", "_session", "_timer", "cause", "close")

    def __init__(self, session: Session, close: Close, cause: CloseCause) -> None:
        self.close = close
        self.cause = cause
        self._session = session
        self._is_through = False  # all messages have passed the valves
        context = session.context
        timeout = context.limits.close_timeout
        self._timer = context.clock.call_later(timeout, self._give_up)

    def begin(self) -> None:
        """Begins to deliver; some messages may still be in the valves."""
        session = self._session
        session.outbox.watch(self._go_on)
        session.backend_side.stop_forwarding(session.valves.receive)
        session.valves.when_transmitted(self._all_are_through)

    def begin_anew(self) -> None:
        """Goes on with another backend, which serves from now on."""
        self._go_on()

    def stop(self) -> None:
        """Cancels the time limit."""
        self._timer.cancel()

    def _all_are_through(self) -> None:
        self._is_through = True
        self._go_on()

    def _go_on(self) -> None:
        """Closes the connection, or ends without one, if nothing is left to deliver."""
        session = self._session
        if not self._is_through or session.ledger:
            return
        if session.state in (State.FLUSH_HOLDING, State.FLUSH_LEAVING):
            self._give_up()
            return
        sink = session.backend_side.sink
        if session.state is State.FLUSHING and sink is not None:
            session.backend_side.stop_hydration()
            session.outbox.stop_sending()  # a plugin may still have something for the next backend
            sink.connection.close(self.close.code, self.close.reason, self.cause)

    def _give_up(self) -> None:
        self._session.give_up(self.close, self.cause)
