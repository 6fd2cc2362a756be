"""The link to a broker: one connection publishes, one consumes replies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wsgw_core.api import BackendContext, BackendUnavailable

from .broker_connection import BrokerAddress, BrokerConnection
from .own_channel import OwnChannel
from .publisher import Publisher
from .replies import ReplyChannel

if TYPE_CHECKING:
    from .backend import AmqpBackend

_SILENT_HEARTBEATS = 1.5  # and up to half of one more until the next look
_LOOKS = 4  # looks in the shortest timeout
_SHORTEST_PAUSE = 0.005  # seconds between two looks


class AmqpLink:
    """Two connections to one node; if one is lost, the link is lost.

    RabbitMQ stops reading a connection that publishes when it lacks memory or disk space. On a
    single connection, acknowledgements of replies would stop too.

    Args:
        backend: gets the events.

    Attributes:
        publisher, replies: the channels.
        publishing, consuming: their connections.
        reply_to: the queue for replies.
        is_lost: whether the link is lost or closed.
    """

    reply_to: str

    def __init__(self, backend: AmqpBackend) -> None:
        settings, context = backend.settings, backend.context
        self.is_lost = False
        self.publisher = Publisher(
            backend.metrics, settings.unroutable, backend.unroutable, self._lose
        )
        self.replies = ReplyChannel(
            context, backend.metrics, backend.find, settings.prefetch, self._lose
        )
        self._settings = settings
        self._clock = context.clock
        self._logger = context.logger
        self._backend = backend
        self._is_writable = True
        self.publishing = self._connection(context, self.publisher)
        self.consuming = self._connection(context, self.replies)
        self._blocked_since: float | None = None
        self._watching: asyncio.TimerHandle | None = None

    async def open(self, address: BrokerAddress, name: str) -> None:
        """Opens both connections.

        Raises:
            OSError, AMQPError, BackendUnavailable, ChannelClosedError: a connection cannot be made.
        """
        await self.publishing.open(address, name)
        await self.consuming.open(address, name)
        self._watch()

    async def close(self) -> None:
        """Closes the link after the last confirms, for which it waits `confirm-timeout` at most."""
        if not self.is_lost:
            try:
                async with asyncio.timeout(self._settings.confirm_timeout):
                    await self.publisher.all_confirmed()
            except TimeoutError:  # a blocked broker confirms nothing
                self._logger.warning(
                    "closed the link with %d unconfirmed messages", len(self.publisher)
                )
        self.drop()
        await asyncio.gather(self.publishing.close(), self.consuming.close())

    def drop(self) -> None:
        """Reports no more events to the backend."""
        self.is_lost = True
        if self._watching is not None:
            self._watching.cancel()

    @property
    def is_blocked(self) -> bool:
        """Whether the broker has blocked the link, for lack of memory or disk space."""
        return self.publishing.blocked is not None

    @property
    def is_writable(self) -> bool:
        """Whether the broker takes messages at the moment."""
        return self._is_writable

    async def update_secret(self, secret: str) -> None:
        """Sends the broker a new password on both connections."""
        await asyncio.gather(
            self.publishing.update_secret(secret), self.consuming.update_secret(secret)
        )

    def check(self) -> None:
        """Raises BackendUnavailable if the link is already lost."""
        loss = self.publishing.loss or self.consuming.loss
        if loss is not None:
            raise BackendUnavailable(f"the link was lost at once: {loss}")

    # Inside

    def _connection(self, context: BackendContext, channel: OwnChannel) -> BrokerConnection:
        return BrokerConnection(context, channel, self._lose, self._show_writable)

    def _lose(self, reason: str) -> None:
        if not self.is_lost:
            self.drop()
            self._backend.link_lost(self, reason)

    def _show_writable(self) -> None:
        """Reports changes of the publishing connection; the other one does not matter."""
        if not self.is_blocked:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = self._clock.time()
        writable = self.publishing.is_writable
        if writable is not self._is_writable and not self.is_lost:
            self._is_writable = writable
            self.publisher.block(not writable)
            self._backend.link_writable(self, writable)

    def _watch(self) -> None:
        """Detects silent faults: a cut connection, a hanging broker, missing confirms."""
        settings, now = self._settings, self._clock.time()
        if self.is_lost:
            return
        for connection in (self.publishing, self.consuming):
            if now - connection.silent_since > settings.heartbeat * _SILENT_HEARTBEATS:
                connection.give_up(f"the broker was silent for {settings.heartbeat:g} s")
                return
        since = self.publisher.waiting_since()
        if since is not None and now - since > settings.confirm_timeout:
            self._lose(f"the broker confirmed nothing for {settings.confirm_timeout:g} s")
            return
        blocked, bound = self._blocked_since, settings.blocked_timeout
        if blocked is not None and bound is not None and now - blocked > bound:
            self._lose(f"the broker blocks the link: {self.publishing.blocked}")
            return
        times = [settings.heartbeat, settings.confirm_timeout, bound or settings.heartbeat]
        pause = max(min(times) / _LOOKS, _SHORTEST_PAUSE)
        self._watching = self._clock.call_later(pause, self._watch)
