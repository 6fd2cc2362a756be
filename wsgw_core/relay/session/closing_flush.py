"""What a client that has left still has under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session_state import State

if TYPE_CHECKING:
    from ...api import Close, CloseCause
    from .session import Session


class ClosingFlush:
    """Passes the client's close on, but not before all its messages are delivered.

    A backend's library may answer a close that its application has not read up to. If the backend
    died then, what was queued would be lost; so the close waits until nothing is owed. Where the
    backend dies, another one gets what is left; all that is bounded by `limits.close-timeout`.

    Args:
        session: of the client.
        close: what the backend is told.
        cause: why the client has left.

    Attributes:
        close, cause: see above.
    """

    __slots__ = ("_passed_on", "_session", "_timer", "cause", "close")

    def __init__(self, session: Session, close: Close, cause: CloseCause) -> None:
        self.close = close
        self.cause = cause
        self._session = session
        self._passed_on = False  # to the backend that serves now
        context = session.context
        timeout = context.limits.close_timeout
        self._timer = context.clock.call_later(timeout, self._give_up)

    def begin(self) -> None:
        """Give the backend what is left; some of it may still be in the valves."""
        session = self._session
        session.outbox.watch(self._pass_on)
        session.backend_side.stop_forwarding(session.valves.receive)
        session.valves.when_transmitted(self._client_left)

    def begin_anew(self) -> None:
        """Do the same with another backend, which serves from now on."""
        self._passed_on = False
        self._pass_on()

    def stop(self) -> None:
        """Forget the bound."""
        self._timer.cancel()

    def _client_left(self) -> None:
        """The client has gone, and all its messages are in the ledger."""
        session = self._session
        if session.state is State.ENDED:
            return
        if session.state is State.LEAVING and session.ledger:
            session.moves.when_arrived(self._client_left)  # in a moment
            return
        is_between = session.state in (State.LEAVING, State.HOLDING)
        if session.state is State.CLOSING or (is_between and not session.ledger):
            self._give_up()  # there is nobody to tell
            return
        session.client_left()
        self._pass_on()

    def _pass_on(self) -> None:
        """Close the connection, or look for none any more, once nothing is owed."""
        session = self._session
        if session.ledger:
            return
        if session.state is State.FLUSH_HOLDING:
            self._give_up()
        sink = session.backend_side.sink
        if session.state is not State.FLUSHING or sink is None:
            return
        if not self._passed_on:
            self._passed_on = True
            session.backend_side.stop_hydration()
            session.outbox.stop_sending()  # a plugin may still have something for the next backend
            sink.connection.close(self.close.code, self.close.reason, self.cause)

    def _give_up(self) -> None:
        self._session.give_up(self.close, self.cause)
