"""Reports session events to the log and to listeners."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from ...api import BackendDeclined, Close, Message, Session, SessionListener
from ...api.rare_warning import RareWarning
from ...control import events
from ...control.event_stream import EventStream
from ...metrics.counters import GatewayCounters
from ...pool.dialling.backend_search import NoBackend


class ReportedSession(Protocol):
    """What this module needs of a session."""

    id: str
    peer: str

    @property
    def route(self) -> str:
        """The id of its route."""

    @property
    def backend_id(self) -> str | None:
        """The id of the backend that serves it."""

    @property
    def undelivered(self) -> int:
        """How many of the client's messages are lost if the session ends now."""

    def view(self) -> Session:
        """The session for listeners."""


class SessionReporter:
    """Reports the sessions of one route; logs and counts faults in listeners.

    Args:
        listeners: called in this order.
        stream: where the events are published as plain data; it writes the log.
        counters, logger: the gateway's.
    """

    def __init__(
        self,
        listeners: Iterable[SessionListener],
        stream: EventStream,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._listeners = tuple(listeners)
        self._events = stream
        self._counters = counters
        self._logger = logger
        self._valve_faults: dict[str, RareWarning] = {}

    def opened(self, session: ReportedSession) -> None:
        """Reports that a session has begun: its client was answered."""
        self._publish(events.SessionOpened, session, client=session.peer)
        self._notify_listeners(session, "session_created")

    def client_violated(self, session: ReportedSession, close: Close) -> None:
        """Reports that wsgw has closed a client that broke the protocol or a limit."""
        self._publish(events.ProtocolBroken, session, reason=str(close))

    def backend_closed(self, session: ReportedSession, backend_id: str, close: Close) -> None:
        """Reports that a backend's connection has ended."""
        self._publish(events.ConnectionClosed, session, backend_id, reason=str(close))

    def held(self, session: ReportedSession, backend_id: str) -> None:
        """Reports that a session has left or lost this backend and has no other yet."""
        self._publish(events.SessionHeld, session, backend_id)

    def failed_over(
        self, session: ReportedSession, old_id: str, new_id: str, replayed: int
    ) -> None:
        """Reports that another backend serves, and gets that many messages again."""
        self._publish(events.SessionMoved, session, new_id, old=old_id, replayed=replayed)
        self._notify_listeners(session, "session_failed_over", old_id, new_id)

    def not_found(self, session: ReportedSession, error: Exception) -> None:
        """Reports why a session ends after a loss: no backend, a decline, or a fault in wsgw."""
        if isinstance(error, NoBackend):
            self._publish(events.NoBackendFound, session, reason=str(error))
        elif not isinstance(error, BackendDeclined):
            self._logger.error(
                "session %s: internal error in a failover", session.id, exc_info=error
            )

    def stayed(self, session: ReportedSession, error: Exception) -> None:
        """Reports why a planned move was called off."""
        if isinstance(error, (NoBackend, BackendDeclined)):
            self._publish(events.SessionStayed, session, reason=str(error))
        else:
            self._logger.error("session %s: internal error in a move", session.id, exc_info=error)

    def valve_failed(self, session_id: str, kind: str, error: BaseException) -> None:
        """Counts a fault of a valve, and logs one a minute per kind: clients may cause them."""
        self._counters.valve_errors.value += 1
        warn = self._valve_faults.setdefault(kind, RareWarning(self._logger))
        warn(
            "session %s: valve %s raised %r",
            session_id,
            kind,
            error,
            level=logging.ERROR,
            exc_info=error,
        )

    def poisoned(self, session: ReportedSession, message: Message | None) -> None:
        """Logs that several backends have died of a message; None: of a hydration."""
        suspect = "hydration"
        if message is not None:
            suspect = f"message ({message.kind.name.lower()}, {message.size} bytes)"
        self._logger.warning(
            "session %s: closed: several backends died with the same %s in flight",
            session.id,
            suspect,
        )

    def ended(self, session: ReportedSession, close: Close, *, was_opened: bool) -> None:
        """Reports that a session has ended; calls listeners only if `opened` was reported."""
        self._publish(
            events.SessionEnded, session, reason=str(close), undelivered=session.undelivered
        )
        if was_opened:
            self._notify_listeners(session, "session_terminated", close)

    def _notify_listeners(self, session: ReportedSession, method: str, *arguments: Any) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, method)(session.view(), *arguments)
            except Exception:
                self._counters.listener_errors.value += 1
                self._logger.exception("session %s: a listener raised an error", session.id)

    def _publish(
        self,
        kind: type[events.SessionEvent],
        session: ReportedSession,
        backend_id: str | None = None,
        **facts: Any,
    ) -> None:
        serving = backend_id or session.backend_id
        self._events.publish(kind(session.id, session.route, serving, **facts))
