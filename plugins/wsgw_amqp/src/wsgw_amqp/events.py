"""Connect and disconnect events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from wsgw_core.api import BackendContext, Close, CloseCause

from .connection import AmqpConnection
from .envelope import Envelope
from .handshake import SessionHandshake
from .link import AmqpLink
from .metrics import AmqpMetrics
from .settings import Event

_MOST_UNCONFIRMED = 10_000
_LONGEST_WAIT = 60.0  # seconds for which a disconnect event waits for the broker
_PAUSE = 1.0  # seconds between two attempts to connect
_BY = {CloseCause.CLIENT_LEFT: "client", CloseCause.BACKEND_ENDED: "backend"}


class SessionEvents:
    """Publishes connect and disconnect events.

    A connect event goes before the session's messages, on the same channel. If the broker is lost,
    wsgw does not publish it again: the session gets another connect event where it goes on. A
    disconnect event waits up to a minute for the broker to come back.

    Args:
        context: the backend's.
        metrics: the backend's.
        current: returns the link, or None.
        dial: makes a link in the background.
    """

    def __init__(
        self,
        context: BackendContext,
        metrics: AmqpMetrics,
        current: Callable[[], AmqpLink | None],
        dial: Callable[[], object],
    ) -> None:
        self._clock = context.clock
        self._metrics = metrics
        self._current = current
        self._dial = dial
        self._sessions: dict[str, _Session] = {}
        self._unconfirmed: dict[int, _Pending] = {}
        self._last = 0
        self._link: AmqpLink | None = None  # the link of all unconfirmed events
        self._retry: asyncio.TimerHandle | None = None

    def connected(
        self,
        handshake: SessionHandshake,
        envelope: Envelope,
        connection: AmqpConnection,
        link: AmqpLink,
    ) -> None:
        """Publishes the connect event of a new connection."""
        if not handshake.event_keys:
            return
        session = self._sessions.get(handshake.session_id)
        if session is None:
            first = int(bool(handshake.details["reconnect"]))
            session = self._sessions[handshake.session_id] = _Session(self._clock.time(), first)
        session.handshake, session.envelope, session.connection = handshake, envelope, connection
        if "connect" in handshake.event_keys:
            name = f"c{session.dials}"
            self._publish(link, self._pending(session, "connect", name, handshake.details))
        session.dials += 1

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Publishes the disconnect event, after the session's last message."""
        session = self._sessions.pop(session_id, None)
        if session is None or "disconnect" not in session.handshake.event_keys:
            return
        details = {
            "code": close.code,
            "reason": close.reason,
            "by": _BY.get(cause, "gateway"),
            "messages": session.connection.last_number,
            "duration": round(self._clock.time() - session.since, 3),
        }

        def publish() -> None:
            pending = self._pending(session, "disconnect", "d", details)
            self._publish(self._current(), pending)

        if session.connection.is_over:
            publish()
        else:
            session.connection.when_over = publish

    def link_up(self, link: AmqpLink) -> None:
        """Publishes all unconfirmed events again on a new link."""
        if link is self._link:
            return
        self._link = link
        self._stop_retrying()
        for pending in list(self._unconfirmed.values()):
            self._send(link, pending)

    def link_lost(self) -> None:
        """Drops unconfirmed connect events; their sessions get others where they go on."""
        for number, pending in list(self._unconfirmed.items()):
            if pending.event == "connect":
                del self._unconfirmed[number]
            else:
                pending.replayed = True
        if self._unconfirmed:
            self._retry_later()

    def close(self) -> None:
        """Counts the events that no queue has."""
        self._stop_retrying()
        self._metrics.events_lost.value += len(self._unconfirmed)
        self._unconfirmed.clear()

    # Called by the publisher

    def confirmed(self, number: int) -> None:
        """See ConfirmReceiver."""
        self._unconfirmed.pop(number, None)

    def refused(self, number: int, close: Close | None = None) -> None:
        """See ConfirmReceiver. Ends a session whose connect event the broker refuses."""
        pending = self._unconfirmed.pop(number, None)
        if pending is None:
            return
        self._metrics.events_lost.value += 1
        if close is not None and pending.event == "connect":
            pending.session.connection.end(close)

    # Inside

    def _pending(self, session: _Session, event: Event, name: str, details: object) -> _Pending:
        body = json.dumps(details, ensure_ascii=False, separators=(",", ":")).encode()
        return _Pending(session, event, name, body, self._clock.time() + _LONGEST_WAIT)

    def _publish(self, link: AmqpLink | None, pending: _Pending) -> None:
        if len(self._unconfirmed) >= _MOST_UNCONFIRMED:
            self._metrics.events_lost.value += 1
            return
        self._last += 1
        pending.number = self._last
        self._unconfirmed[pending.number] = pending
        if link is not None:
            self._send(link, pending)
        else:
            self._retry_later()

    def _send(self, link: AmqpLink, pending: _Pending) -> None:
        publisher, session = link.publisher, pending.session
        key = session.handshake.event_keys[pending.event]
        frames = session.envelope.pack_event(
            pending.name,
            publisher.next_tag,
            pending.event,
            key,
            pending.body,
            replayed=pending.replayed,
        )
        publisher.publish(frames, key, self, pending.number)

    def _retry_later(self) -> None:
        if self._retry is None:
            self._retry = self._clock.call_later(_PAUSE, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        now = self._clock.time()
        for number, pending in list(self._unconfirmed.items()):
            if pending.until < now:
                del self._unconfirmed[number]
                self._metrics.events_lost.value += 1
        if self._unconfirmed and self._current() is None:
            self._dial()
            self._retry_later()

    def _stop_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


class _Session:
    """What is kept for a session until it ends."""

    handshake: SessionHandshake
    envelope: Envelope
    connection: AmqpConnection

    def __init__(self, since: float, dials: int) -> None:
        self.since = since
        self.dials = dials


@dataclass(slots=True)
class _Pending:
    """An event without a confirm."""

    session: _Session
    event: Event
    name: str
    body: bytes
    until: float
    number: int = 0
    replayed: bool = False
