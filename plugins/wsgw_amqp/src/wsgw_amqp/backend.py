"""One RabbitMQ broker or cluster: connects sessions to its link."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from wsgw_core.api import (
    BackendContext,
    BackendDeclined,
    BackendUnavailable,
    Close,
    CloseCause,
    ConfigurationError,
    DialRequest,
    SharedLink,
    Sink,
)

from .connection import AmqpConnection
from .credentials import Credentials, PasswordWatch
from .dialler import Dialler
from .envelope import Envelope
from .events import SessionEvents
from .handshake import read_handshake
from .link import AmqpLink
from .metrics import AmqpMetrics
from .replies import settle_buffers
from .settings import AmqpSettings
from .topology import TopologyError
from .unroutable_keys import UnroutableKeys


class AmqpBackend:
    """Publishes the messages of all sessions on one link, and receives their replies.

    Args:
        settings: this backend's options.
        context: what the core provides.

    Attributes:
        settings, context: see above.
        metrics, unroutable: for its links.
    """

    def __init__(self, settings: AmqpSettings, context: BackendContext) -> None:
        self.settings = settings
        self.context = context
        credentials = Credentials(settings)
        self._dialler = Dialler(settings, context, credentials, lambda: AmqpLink(self))
        self._link = SharedLink[AmqpLink, AmqpConnection](
            context, self._dial, AmqpLink.close, timeout=self._dialler.longest
        )
        self._watch = PasswordWatch(credentials, context, lambda: self._link.current)
        self._replies = settle_buffers(
            context, settings.reply_buffer, settings.max_waiting_replies, settings.prefetch
        )
        self.metrics = AmqpMetrics(
            context.metrics,
            is_up=lambda: self._link.current is not None,
            is_blocked=lambda: self._link.current is not None and self._link.current.is_blocked,
            unconfirmed=lambda: len(self._link.current.publisher) if self._link.current else 0,
            unacknowledged=lambda: len(self._link.current.replies) if self._link.current else 0,
        )
        self.unroutable = UnroutableKeys(
            context.clock, is_wanted=settings.unroutable == "unavailable"
        )
        self._events = SessionEvents(
            context, settings, self.metrics, lambda: self._link.current, self._dial_in_background
        )
        self._had_link = False
        self._background_dial: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Reads the certificates, and checks the topology.

        If the broker cannot be reached, it only logs a warning: the broker may come later.

        Raises:
            ConfigurationError: the topology is not as configured, or a certificate cannot be used.
        """
        await self._dialler.read_certificates()
        self._watch.begin()
        self._dialler.logs_refusals = False  # the warning or error below says it
        try:
            await self._get_link()
        except TopologyError as error:
            raise ConfigurationError(f"backend {self.context.backend_id}: {error}") from error
        except BackendUnavailable as error:
            self.context.logger.warning("cannot use the broker yet: %s", error)
        finally:
            self._dialler.logs_refusals = True

    async def connect(self, request: DialRequest, sink: Sink) -> AmqpConnection:
        """Gives a session a connection on the link, and connects to the broker if there is none.

        Raises:
            BackendUnavailable: the broker is away, or no queue takes the session's messages.
            BackendDeclined: with 400 for a value that does not fit the routing key, or with 431 for
                headers that are too long for a frame.
        """
        subprotocol = self.settings.subprotocols.choose(request)
        handshake = read_handshake(self.settings, request, subprotocol)
        link = await self._get_link()
        self.unroutable.check(handshake.all_keys)
        envelope = Envelope(
            self.settings,
            link.reply_to,
            request.session_id,
            handshake.keys,
            handshake.headers,
            link.publisher.frame_max,
        )
        if not envelope.fits:
            raise BackendDeclined.with_text(
                431, "The headers of this request are too long for the broker."
            )
        connection = AmqpConnection(
            request, sink, self.context, self._replies, link.publisher, envelope, subprotocol
        )
        self._link.writable(link.is_writable)
        self._link.add(link, connection)
        self._events.connected(handshake, envelope, connection, link)
        return connection

    async def probe(self) -> None:
        """Checks that there is a link, or makes one; see Backend."""
        await self._get_link()

    async def linger(self) -> None:
        """Waits for disconnect events of sessions that no other backend of the exchange serves."""
        if "disconnect" in self.settings.events:
            await self._events.sessions_over()

    async def close(self) -> None:
        """Waits for the last confirms, and closes the link.

        Without a link it connects once more for events that wait: the broker may be back.
        """
        await self._watch.close()
        if self._events.are_waiting:
            with suppress(BackendUnavailable, TimeoutError):
                async with asyncio.timeout(self.context.limits.close_timeout):
                    await self._get_link()
        await self._link.close()
        self._events.close()
        if self._background_dial is not None:
            await asyncio.wait([self._background_dial])

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """See SessionTrackingBackend."""
        self._events.session_ended(session_id, close, cause)

    # Called by the link

    def find(self, session_id: str) -> AmqpConnection | None:
        """Returns the connection of a session; None if it has none here."""
        return self._link.find(session_id)

    def link_lost(self, link: AmqpLink, reason: str) -> None:
        """Ends all connections on a lost link; called once for each link."""
        is_current = link is self._link.current
        self._link.lost(link, reason)
        if is_current:
            self._events.link_lost()

    def link_writable(self, link: AmqpLink, writable: bool, /) -> None:
        """Passes on whether the broker takes messages; called when this changes.

        For a link that has no sessions yet, `connect` does the same.
        """
        if link is self._link.current:
            self._link.writable(writable)

    # Making links

    async def _get_link(self) -> AmqpLink:
        """Returns the link, or makes one; publishes the events that waited for it."""
        link = await self._link.get()
        self._events.link_up(link)
        return link

    async def _dial(self) -> AmqpLink:
        link = await self._dialler.dial()
        self.unroutable.forget()  # this link has declared and bound its queue
        if self._had_link:
            self.metrics.reconnects.value += 1
        self._had_link = True
        return link

    def _dial_in_background(self) -> None:
        if self._background_dial is None or self._background_dial.done():
            loop = asyncio.get_running_loop()
            self._background_dial = loop.create_task(self._dial_for_events())

    async def _dial_for_events(self) -> None:
        try:
            await self._get_link()
        except BackendUnavailable as error:
            self.context.logger.debug("events wait for the broker: %s", error)
