"""Connect and disconnect events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wsgw_core.api import BackendContext, Close, CloseCause

from .connection import AmqpConnection
from .envelope import Envelope
from .handshake import SessionHandshake
from .link import AmqpLink
from .metrics import AmqpMetrics
from .session_record import SessionRecord
from .settings import AmqpSettings, Event

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
        context, settings, metrics: the backend's.
        current: returns the link, or None.
        dial: makes a link in the background.
    """

    def __init__(
        self,
        context: BackendContext,
        settings: AmqpSettings,
        metrics: AmqpMetrics,
        current: Callable[[], AmqpLink | None],
        dial: Callable[[], object],
    ) -> None:
        self._clock = context.clock
        self._metrics = metrics
        self._current = current
        self._dial = dial
        self._exchange = (*settings.nodes, settings.virtual_host, settings.exchange)
        self._sessions: dict[str, SessionRecord] = {}
        self._unconfirmed: dict[int, _Pending] = {}
        self._last = 0
        self._link: AmqpLink | None = None  # the link of all unconfirmed events
        self._retry: asyncio.TimerHandle | None = None
        self._one_ended = asyncio.Event()

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
        session_id, now = handshake.session_id, self._clock.time()
        first = int(bool(handshake.details["reconnect"]))
        session = SessionRecord.of(session_id, self._exchange, now, first)
        self._sessions[session_id] = session
        begin = partial(session.begin, self, handshake, envelope, connection)
        if session.served_by is None:
            begin()
        connection.on_start = begin
        if "connect" in handshake.event_keys:
            source = handshake, envelope, connection
            name = f"c{session.dials}"
            self._publish(link, self._pending(*source, "connect", name, handshake.details))
        session.dials += 1

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Publishes the disconnect event, after the session's last message."""
        session = self._sessions.pop(session_id, None)
        self._one_ended.set()
        if session is None or session.served_by is not self:
            return
        if "disconnect" not in session.handshake.event_keys:
            return
        details = {
            "code": close.code,
            "reason": close.reason,
            "by": _BY.get(cause, "gateway"),
            "messages": session.connection.last_number,
            "duration": round(self._clock.time() - session.since, 3),
        }

        def publish() -> None:
            source = session.handshake, session.envelope, session.connection
            self._publish(self._current(), self._pending(*source, "disconnect", "d", details))

        if session.connection.is_over:
            publish()
        else:
            session.connection.when_over = publish

    async def sessions_over(self) -> None:
        """Waits until all sessions have ended that this backend served last."""
        while any(session.served_by is self for session in self._sessions.values()):
            self._one_ended.clear()
            await self._one_ended.wait()

    @property
    def are_waiting(self) -> bool:
        """Whether the broker has not confirmed all events."""
        return bool(self._unconfirmed)

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
            pending.connection.end(close)

    # Inside

    def _pending(
        self,
        handshake: SessionHandshake,
        envelope: Envelope,
        connection: AmqpConnection,
        event: Event,
        name: str,
        details: object,
    ) -> _Pending:
        body = json.dumps(details, ensure_ascii=False, separators=(",", ":")).encode()
        key, until = handshake.event_keys[event], self._clock.time() + _LONGEST_WAIT
        return _Pending(envelope, connection, event, key, name, body, until)

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
        publisher = link.publisher
        frames = pending.envelope.pack_event(
            pending.name,
            publisher.next_tag,
            pending.event,
            pending.key,
            pending.body,
            replayed=pending.replayed,
        )
        publisher.publish(frames, pending.key, self, pending.number)

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


@dataclass(slots=True)
class _Pending:
    """An event without a confirm."""

    envelope: Envelope
    connection: AmqpConnection
    event: Event
    key: str
    name: str
    body: bytes
    until: float
    number: int = 0
    replayed: bool = False
