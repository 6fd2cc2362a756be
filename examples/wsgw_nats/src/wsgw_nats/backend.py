"""One NATS server with JetStream: connects sessions."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from weakref import WeakValueDictionary

from nats.aio.msg import Msg

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    Close,
    CloseCause,
    DialRequest,
    LingeringBackend,
    ReplyBuffers,
    ReplyOutcome,
    SessionTrackingBackend,
    SharedLink,
    Sink,
)

from .acknowledgement import Rejection
from .connection import Channel, NatsConnection
from .envelope import connect_event, disconnect_event, read_reply
from .events import EventOutbox
from .metrics import NatsMetrics
from .nats_link import NatsLink
from .settings import NatsSettings
from .stream_check import check_stream

_PORT = 4222
_Place = tuple[str, str | None, int, str]  # a session, its server and its subject
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0  # seconds between two attempts to connect again


class NatsBackend:
    """Publishes clients' messages, and delivers workers' replies.

    Args:
        settings: this backend's checked options.
        context: what the core provides.
    """

    def __init__(self, settings: NatsSettings, context: BackendContext) -> None:
        self._settings = settings
        self._context = context
        self._metrics = NatsMetrics(context.metrics)
        self._replies = ReplyBuffers[None](context, settings.reply_buffer)
        self._link = SharedLink[NatsLink, NatsConnection](
            context, self._dial, NatsLink.close, timeout=settings.connect_timeout
        )
        self._on_rejected = self._not_stored if settings.is_shared else None
        self._events = EventOutbox(self._metrics, self._on_rejected)
        # The same for all links, because workers may answer after a reconnect.
        self._inbox = f"{settings.inbox}.{secrets.token_hex(11)}"
        self._subjects: dict[str, str] = {}  # of sessions with a connect event
        self._one_ended = asyncio.Event()
        self._refused_size = 0
        self._restoring: asyncio.Task[None] | None = None
        context.metrics.gauge(
            "connected",
            "Whether there is a connection to the server.",
            lambda: self._link.current is not None,
        )
        context.metrics.gauge(
            "unacknowledged",
            "Messages and events that JetStream has not acknowledged yet.",
            lambda: self._link.current.unacknowledged if self._link.current else 0,
        )
        context.metrics.gauge(
            "waiting_events", "Events that JetStream has not stored yet.", lambda: len(self._events)
        )

    async def open(self) -> None:
        """Does nothing: the first client's dial connects."""

    async def connect(self, request: DialRequest, sink: Sink) -> NatsConnection:
        """Gives a session a connection on the link; see Backend."""
        settings, session_id = self._settings, request.session_id
        subprotocol = settings.subprotocols.choose(request)
        subject = settings.subject.expand(request, subprotocol)
        link = await self._link.get()
        if not settings.is_shared:
            await check_stream(link.ask, subject)
        channel = Channel(link, subject, self._reply_to(session_id), self._on_rejected)
        event = connect_event(request, subject, subprotocol, channel.reply_to, settings.headers)
        connection = NatsConnection(
            session_id,
            sink,
            self._context,
            self._replies,
            window=settings.window,
            channel=channel,
        )
        connection.subprotocol = subprotocol
        self._link.add(link, connection)
        self._subjects[session_id] = subject
        place = self._place(session_id, subject)
        _served_by.setdefault(place, self)
        connection.on_start = partial(_served_by.__setitem__, place, self)
        self._events.publish(event)
        return connection

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Publishes the disconnect event, after the session's last message.

        Unless another backend of the same stream has served the session last, as after a reload.
        """
        subject = self._subjects.pop(session_id, None)
        self._one_ended.set()
        if subject is None or not self._served_last(session_id, subject):
            return
        del _served_by[self._place(session_id, subject)]
        event = disconnect_event(session_id, subject, close, cause, self._reply_to(session_id))
        connection = self._link.find(session_id)
        if connection is None:
            self._events.publish(event)
        else:  # the connection is still ending
            connection.on_release = partial(self._events.publish, event)

    async def probe(self) -> None:
        """Connects if there is no link. The link pings the server itself."""
        await self._link.get()

    async def linger(self) -> None:
        """Waits for disconnect events of sessions that no other backend of the stream serves."""
        while any(self._served_last(*each) for each in self._subjects.items()):
            self._one_ended.clear()
            await self._one_ended.wait()

    async def close(self) -> None:
        """Waits until all connections and the link are closed."""
        if self._restoring is not None:
            self._restoring.cancel()
        await self._link.close()

    # The link

    async def _dial(self) -> NatsLink:
        settings = self._settings
        link = NatsLink(
            self._context,
            self._metrics,
            self._inbox,
            ack_timeout=settings.ack_timeout,
            on_reply=self._reply,
            on_lost=self._lost,
        )
        try:
            await link.open(await self._servers(), settings.connect_timeout)
            if settings.is_shared:
                await check_stream(link.ask, str(settings.subject), self._refused_size)
        except BaseException:  # also if cancelled: leave no connection open
            await link.close()
            raise
        self._refused_size = 0
        self._events.use(link)
        return link

    async def _servers(self) -> list[str]:
        """Returns the URLs of all addresses of the server."""
        server = self._settings.server
        user, at, _ = server.netloc.rpartition("@")
        port = server.port or _PORT
        addresses = await self._context.resolver.resolve(server.hostname or "", port)
        hosts = [str(address[4][0]) for address in addresses]
        return [f"nats://{user}{at}{f'[{host}]' if ':' in host else host}:{port}" for host in hosts]

    def _lost(self, link: NatsLink, reason: str) -> None:
        self._link.lost(link, reason)
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.get_running_loop().create_task(self._restore())

    def _not_stored(self, rejection: Rejection) -> None:
        """Ends all connections, because JetStream stores no messages."""
        link = self._link.current
        if link is not None:
            self._refused_size = rejection.size
            link.lose(rejection.reason)

    async def _restore(self) -> None:
        """Reconnects for events and late replies, unless a client's dial does before."""
        pause = _FIRST_PAUSE
        while self._link.current is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                await self._link.get()
            except BackendUnavailable as error:
                self._context.logger.debug("cannot reconnect to NATS: %s", error)
        self._context.up()

    # Sessions

    def _place(self, session_id: str, subject: str) -> _Place:
        server = self._settings.server
        return session_id, server.hostname, server.port or _PORT, subject

    def _served_last(self, session_id: str, subject: str) -> bool:
        return _served_by.get(self._place(session_id, subject)) is self

    def _reply_to(self, session_id: str) -> str:
        return f"{self._inbox}.r.{session_id}"

    def _reply(self, session_id: str, msg: Msg) -> None:
        self._metrics.replies.labels(self._pass_on(session_id, msg)).value += 1

    def _pass_on(self, session_id: str, msg: Msg) -> str:
        """Delivers a reply to a session's client; returns the outcome for the metric."""
        try:
            reply = read_reply(msg)
        except ValueError:
            return "malformed"
        connection = self._link.find(session_id)
        if isinstance(reply, Close):
            if connection is None:
                return ReplyOutcome.UNKNOWN_SESSION.value
            connection.end(reply)
            return ReplyOutcome.TAKEN.value
        outcome = ReplyOutcome.UNKNOWN_SESSION
        if connection is not None:
            outcome = connection.receive(reply)
        if outcome is ReplyOutcome.UNKNOWN_SESSION:  # the session may have moved
            outcome = self._context.deliver(session_id, reply)
        return outcome.value


def _is_backend(backend: NatsBackend) -> SessionTrackingBackend:
    return backend  # checked by the type checker


def _can_linger(backend: NatsBackend) -> LingeringBackend:
    return backend  # checked by the type checker


# The backend that served a session last, or else the first that accepted it, for each stream.
# Session ids are unguessable and unique, so one table serves the whole process.
_served_by: WeakValueDictionary[_Place, NatsBackend] = WeakValueDictionary()
