"""One Redis: connects sessions."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    Close,
    CloseCause,
    DialRequest,
    LingeringBackend,
    ReplyBuffers,
    SessionTrackingBackend,
    SharedLink,
    Sink,
)

from .connection import RedisConnection
from .dead_letters import DeadLetters
from .dialler import Dialler
from .disconnects import Disconnects
from .event_entry import EventEntries
from .link import Link, make_link
from .metrics import RedisMetrics
from .published_message import PublishedMessages
from .refusal import Refusal, RefusalLog
from .reply_delivery import ReplyDelivery
from .reply_reader import ReplyReader
from .session_record import SessionRecord
from .settings import RedisSettings
from .subscriber import Subscription

Ending = tuple[EventEntries, Close, CloseCause]

_ROOM_FOR_NAMES = 4096  # bytes of a dead letter besides its message
_FIELDS_OF_OPERATORS = frozenset({"route"})


class RedisBackend:
    """Connects sessions to one Redis, over connections that all sessions share.

    Args:
        settings: this backend's options.
        context: what the core provides.

    Attributes:
        settings, context: see above.
        metrics, refusals, dialler, replies: shared by its parts.
        is_own_key: whether clients determine the stream or channel to which wsgw writes.
    """

    def __init__(self, settings: RedisSettings, context: BackendContext) -> None:
        instance = secrets.token_hex(8)
        self.settings = settings
        self.context = context
        self.metrics = RedisMetrics(context)
        self.refusals = RefusalLog(context.logger, self.metrics)
        self.dialler = Dialler(settings, context, instance, self.refusals)
        self._link = SharedLink[Link, RedisConnection](
            context, self._dial, self._hang_up, timeout=settings.connect_timeout
        )
        self.metrics.show(lambda: self._link.current is not None, self._count_subscriptions)
        self._has_stream = settings.mode == "stream"
        self._name = settings.stream if self._has_stream else settings.publish
        self.is_own_key = bool(self._name.fields - _FIELDS_OF_OPERATORS)
        self._reply_stream = settings.replies.of(instance)
        letters = DeadLetters(
            settings,
            context.backend_id,
            self.metrics,
            _ROOM_FOR_NAMES + context.limits.max_message_size,
        )
        delivery = ReplyDelivery(context, self._link.find, letters, self.metrics)
        self.replies = ReplyBuffers[Any](
            context,
            settings.reply_buffer,
            passed_on=delivery.passed_on,
            not_taken=delivery.not_taken,
        )
        self._reader = ReplyReader(self, self._reply_stream, delivery)
        self._records: dict[str, SessionRecord] = {}
        self._ending: dict[RedisConnection, Ending] = {}
        self._disconnects = Disconnects(self._link.get, context, self.metrics, self.refusals)
        self._was_linked = False
        self._living: set[str] = set()  # sessions that this backend has served and that still live
        self._one_ended = asyncio.Event()

    async def open(self) -> None:
        """Reads the certificates. The first client's dial connects to Redis."""
        await self.dialler.open()

    async def connect(self, request: DialRequest, sink: Sink) -> RedisConnection:
        """Prepares a session's connection, and connects to Redis if there is no link.

        Raises:
            BackendUnavailable: Redis is away or takes no writes, or no subscriber is there.
            BackendDeclined: a value of the handshake does not fit a template.
        """
        settings = self.settings
        subprotocol = settings.subprotocols.choose(request)
        name = self._name.expand(request, subprotocol)
        subscriptions = self._subscriptions(request, subprotocol)
        link = await self._link.get()
        if settings.require_subscribers:
            await self._check_subscribers(link, name)
        entries = EventEntries(request, settings, name, self._reply_stream, subprotocol)
        commands = entries if self._has_stream else PublishedMessages(name)
        events = None if settings.events == ("message",) else entries
        connection = RedisConnection(self, request.session_id, sink, link, commands, events)
        connection.subprotocol = subprotocol
        try:
            if link.subscriber is not None:
                await link.subscriber.join(connection, subscriptions)
            self._link.add(link, connection)
        except BaseException:
            self.released(connection)
            raise
        self._living.add(connection.session_id)
        return connection

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Adds the disconnect event to the stream, after the session's last messages."""
        self._living.discard(session_id)
        self._one_ended.set()
        record = self._records.pop(session_id, None)
        if record is None or record.served_by is not self:
            return
        if "disconnect" not in self.settings.events:
            return
        if record.connection is None:
            self._disconnects.add(record.entries, close, cause, self._link.current)
        else:
            self._ending[record.connection] = record.entries, close, cause

    async def probe(self) -> None:
        """Sends PING; see Backend."""
        link = await self._link.get()
        (reply,) = await link.publisher.line.ask(("PING",))
        if isinstance(reply, hiredis.ReplyError):
            raise BackendUnavailable(Refusal(str(reply)).reason)

    async def linger(self) -> None:
        """Keeps reading replies while former sessions live elsewhere, at most `replies-grace`.

        Stays longer for disconnect events of sessions that no other backend of the stream serves.
        """
        if not self._has_stream:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.replies_grace):
                await self._until_ended(lambda: bool(self._living))
        if "disconnect" in self.settings.events:
            records = self._records.values()
            await self._until_ended(lambda: any(each.served_by is self for each in records))

    async def close(self) -> None:
        """Waits for the last disconnect events, and closes all connections.

        Without a link it connects once more for events that wait: Redis may be back.
        """
        if self._disconnects.are_waiting:
            with suppress(BackendUnavailable, TimeoutError):
                async with asyncio.timeout(self.context.limits.close_timeout):
                    await self._link.get()
        await self._link.close()
        await self._disconnects.close()
        await self._reader.close()

    # The link

    async def _dial(self) -> Link:
        link = await make_link(self)
        if self._has_stream:
            self._reader.start()
            self._reader.follow(link.publisher.line.address)
            try:  # workers add replies only to a stream that exists
                await link.publisher.line.ask(*self._reader.creation)
            except BaseException:
                link.close()
                raise
        if self._was_linked:
            self.metrics.reconnects.value += 1
        self._was_linked = True
        self._disconnects.link_made(link)
        self.context.up()
        return link

    def link_writable(self, writable: bool, /) -> None:
        """Passes on whether Redis takes messages; called when this changes."""
        self._link.writable(writable)

    def link_lost(self, link: Link, reason: str) -> None:
        """Ends all connections on a lost link; called once for each link, but not after a close."""
        self._link.lost(link, reason)
        self._disconnects.link_lost()

    async def _hang_up(self, link: Link) -> None:
        """Closes a link, after the last disconnect events."""
        try:
            await self._disconnects.until_stored(link)
        finally:
            link.close()

    # Sessions

    def started(self, connection: RedisConnection) -> None:
        """Adds the connect event: the session of this connection can receive replies."""
        if connection.events is None:
            return
        session_id, stream = connection.session_id, connection.events.stream
        record = SessionRecord.of(session_id, (self.settings.address.server, stream))
        record.begin(self, connection, connection.events)
        self._records[session_id] = record
        if "connect" in self.settings.events:
            record.connect(connection.link.publisher)

    def released(self, connection: RedisConnection) -> None:
        """Unsubscribes a connection that has ended, and adds the disconnect event if it is due."""
        if connection.link.subscriber is not None:
            connection.link.subscriber.leave(connection)
        record = self._records.get(connection.session_id)
        if record is not None and record.connection is connection:
            record.connection = None
        if (ending := self._ending.pop(connection, None)) is not None:
            self._disconnects.add(*ending, self._link.current)

    async def _until_ended(self, are_left: Callable[[], bool]) -> None:
        while are_left():
            self._one_ended.clear()
            await self._one_ended.wait()

    # Channels

    def _subscriptions(
        self, request: DialRequest, subprotocol: str | None
    ) -> tuple[Subscription, ...]:
        settings = self.settings
        return tuple(
            Subscription(is_pattern, template.expand(request, subprotocol).encode())
            for is_pattern, templates in (
                (False, settings.subscribe),
                (True, settings.psubscribe),
            )
            for template in templates
        )

    def _count_subscriptions(self) -> int:
        link = self._link.current
        return len(link.subscriber) if link is not None and link.subscriber is not None else 0

    def accept_without_subscriber(self) -> bool:
        """Counts a message without a subscriber; returns whether it counts as delivered."""
        self.metrics.to_nobody.value += 1
        return not self.settings.require_subscribers

    async def _check_subscribers(self, link: Link, channel: str) -> None:
        """Raises BackendUnavailable if nothing subscribes to the channel."""
        counts, patterns = await link.publisher.line.ask(
            ("PUBSUB", "NUMSUB", channel), ("PUBSUB", "NUMPAT")
        )
        for reply in (counts, patterns):
            if isinstance(reply, hiredis.ReplyError):
                raise BackendUnavailable(Refusal(str(reply)).reason)
        if not counts[1] and not patterns:
            raise BackendUnavailable("no subscriber on its channel")


def _is_backend(backend: RedisBackend) -> SessionTrackingBackend:
    return backend  # checked by the type checker


def _can_linger(backend: RedisBackend) -> LingeringBackend:
    return backend  # checked by the type checker
