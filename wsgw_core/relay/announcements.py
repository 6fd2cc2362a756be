"""What the log and the listeners are told of sessions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..api import BackendDeclined, Close, Message, SessionListener
from ..api.rare_warning import RareWarning
from ..pool.dialler import NoBackend

if TYPE_CHECKING:
    from ..metrics.counters import GatewayCounters
    from .session import Session


class Announcements:
    """Tells of the sessions of one gateway; a fault in a listener is logged, and counted.

    Args:
        listeners: told of each session's life, in this order.
        counters, logger: of the gateway.
    """

    def __init__(
        self,
        listeners: Sequence[SessionListener],
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._listeners = tuple(listeners)
        self._counters = counters
        self._logger = logger
        self._valve_faults: dict[str, RareWarning] = {}

    def opened(self, session: Session) -> None:
        """A client was answered."""
        by = f" by route {session.route}" if session.route else ""
        self._log(
            session, "opened at backend %s for client %s%s", session.backend_id, session.peer, by
        )
        self._tell_listeners(session, "session_created")

    def client_violated(self, session: Session, close: Close) -> None:
        """A client was closed for breaking the protocol or a limit."""
        self._log(session, "client broke the protocol: %s", close, reason=str(close))

    def backend_closed(self, session: Session, backend_id: str, close: Close) -> None:
        """A backend has ended its connection, or was lost."""
        self._log(
            session,
            "backend %s closed: %s",
            backend_id,
            close,
            backend=backend_id,
            reason=str(close),
        )

    def failed_over(self, session: Session, old_id: str, new_id: str, replayed: int) -> None:
        """Another backend serves, and was sent that many messages again."""
        self._log(session, "moved from %s to %s, %d messages replayed", old_id, new_id, replayed)
        self._tell_listeners(session, "session_failed_over", old_id, new_id)

    def not_found(self, session: Session, error: Exception) -> None:
        """No other backend was found in time, one has declined, or there is a fault in here."""
        if isinstance(error, NoBackend):
            self._log(session, "no backend: %s", error, reason=str(error))
        elif not isinstance(error, BackendDeclined):
            self._logger.error("session %s: fault in the failover", session.id, exc_info=error)

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

    def poisoned(self, session: Session, message: Message) -> None:
        """A message has ended one backend after the other."""
        self._logger.warning(
            "session %s: backends were lost again and again with the same message (%s, %d bytes)"
            " under way: the session is ended",
            session.id,
            message.kind.name.lower(),
            message.size,
        )

    def ended(self, session: Session, close: Close, *, was_opened: bool) -> None:
        """A session has ended; listeners hear of it if they knew it."""
        self._log(
            session,
            "ended: %s; %d undelivered",
            close,
            session.undelivered,
            reason=str(close),
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

    def _log(
        self,
        session: Session,
        text: str,
        *arguments: Any,
        backend: str | None = None,
        reason: str | None = None,
    ) -> None:
        if self._logger.isEnabledFor(logging.INFO):
            fields = {
                "session": session.id,
                "route": session.route,
                "backend": backend or session.backend_id,
                "reason": reason,
            }
            self._logger.info("session %s: %s", session.id, text % arguments, extra=fields)
