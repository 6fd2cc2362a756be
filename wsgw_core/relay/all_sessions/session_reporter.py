"""Session events for the log and for listeners."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...api import BackendDeclined, Close, Message, SessionListener
from ...api.rare_warning import RareWarning
from ...control import events
from ...pool.dialling.backend_search import NoBackend

if TYPE_CHECKING:
    from ...control.event_stream import EventStream
    from ...metrics.counters import GatewayCounters
    from ..session.session import Session


class SessionReporter:
    """Reports the sessions of one gateway; logs and counts faults in listeners.

    Args:
        listeners: called in this order.
        stream: told as well, in plain data; it writes the log.
        counters, logger: of the gateway.
    """

    def __init__(
        self,
        listeners: Sequence[SessionListener],
        stream: EventStream,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._listeners = tuple(listeners)
        self._events = stream
        self._counters = counters
        self._logger = logger
        self._valve_faults: dict[str, RareWarning] = {}

    def opened(self, session: Session) -> None:
        """A client was answered."""
        self._publish(events.SessionOpened, session, client=session.peer)
        self._tell_listeners(session, "session_created")

    def client_violated(self, session: Session, close: Close) -> None:
        """A client was closed for breaking the protocol or a limit."""
        self._publish(events.ProtocolBroken, session, reason=str(close))

    def backend_closed(self, session: Session, backend_id: str, close: Close) -> None:
        """A backend has ended its connection, or was lost."""
        self._publish(events.ConnectionClosed, session, backend_id, reason=str(close))

    def held(self, session: Session, backend_id: str) -> None:
        """A session is without a backend, after this one."""
        self._publish(events.SessionHeld, session, backend_id)

    def failed_over(self, session: Session, old_id: str, new_id: str, replayed: int) -> None:
        """Another backend serves, and was sent that many messages again."""
        self._publish(events.SessionMoved, session, new_id, old=old_id, replayed=replayed)
        self._tell_listeners(session, "session_failed_over", old_id, new_id)

    def not_found(self, session: Session, error: Exception) -> None:
        """No other backend was found in time, one has declined, or there is a fault in here."""
        if isinstance(error, NoBackend):
            self._publish(events.NoBackendFound, session, reason=str(error))
        elif not isinstance(error, BackendDeclined):
            self._logger.error("session %s: fault in the failover", session.id, exc_info=error)

    def stayed(self, session: Session, error: Exception) -> None:
        """A planned move was called off: no other backend takes the session."""
        if isinstance(error, (NoBackend, BackendDeclined)):
            self._publish(events.SessionStayed, session, reason=str(error))
        else:
            self._logger.error("session %s: fault in a move", session.id, exc_info=error)

    def valve_failed(self, session_id: str, kind: str, error: BaseException) -> None:
        """A valve has a fault; told once a minute for each kind, since clients may cause it."""
        self._counters.valve_errors.value += 1
        warn = self._valve_faults.setdefault(kind, RareWarning(self._logger))
        warn(
            "session %s: fault in valve %s: %r",
            session_id,
            kind,
            error,
            level=logging.ERROR,
            exc_info=error,
        )

    def poisoned(self, session: Session, message: Message | None) -> None:
        """A message has ended one backend after the other; None: a hydration has."""
        suspect = "hydration"
        if message is not None:
            suspect = f"message ({message.kind.name.lower()}, {message.size} bytes)"
        self._logger.warning(
            "session %s: backends were lost again and again with the same %s under way: the session"
            " is ended",
            session.id,
            suspect,
        )

    def ended(self, session: Session, close: Close, *, was_opened: bool) -> None:
        """A session has ended; listeners hear of it if they knew it."""
        self._publish(
            events.SessionEnded, session, reason=str(close), undelivered=session.undelivered
        )
        if was_opened:
            self._tell_listeners(session, "session_terminated", close)

    def _tell_listeners(self, session: Session, method: str, *arguments: Any) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, method)(session.view(), *arguments)
            except Exception:
                self._counters.listener_errors.value += 1
                self._logger.exception("session %s: fault in a listener", session.id)

    def _publish(
        self,
        kind: type[events.SessionEvent],
        session: Session,
        backend_id: str | None = None,
        **facts: Any,
    ) -> None:
        serving = backend_id or session.backend_id
        self._events.publish(kind(session.id, session.route, serving, **facts))
