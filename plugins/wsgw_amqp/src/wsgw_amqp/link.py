"""The link to a broker: one connection that publishes, and one that takes replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from wsgw_core.api import BackendContext, BackendUnavailable

from .broker_connection import BrokerAddress, BrokerConnection
from .own_channel import OwnChannel
from .publisher import Publisher
from .replies import ReplyChannel
from .settings import AmqpSettings

_SILENT_HEARTBEATS = 1.5  # and half of one until that is noticed
_LOOKS = 4  # in the shortest of the times that are watched


class LinkOwner(Protocol):
    """Whom a link tells of itself."""

    def link_lost(self, link: AmqpLink, reason: str, /) -> None:
        """Hears, once, that the link is of no use any more."""
        ...

    def link_writable(self, link: AmqpLink, writable: bool, /) -> None:
        """Hears whether the broker takes messages."""
        ...


class AmqpLink:
    """Two connections to one node, which live and die together.

    There are two since RabbitMQ stops reading a connection that publishes, when it lacks memory or
    room on its disk; acknowledgements of replies would stop too.

    Args:
        settings: the backend's.
        context: the backend's.
        owner: is told.
        make_publisher, make_replies: make the channels.

    Attributes:
        publisher, replies: the channels.
        publishing, consuming: their connections.
        reply_to: the queue for replies.
        is_lost: whether the owner was told so.
    """

    reply_to: str

    def __init__(
        self,
        settings: AmqpSettings,
        context: BackendContext,
        owner: LinkOwner,
        make_publisher: Callable[[Callable[[str], object]], Publisher],
        make_replies: Callable[[Callable[[str], object]], ReplyChannel],
    ) -> None:
        self.is_lost = False
        self.publisher = make_publisher(self._lose)
        self.replies = make_replies(self._lose)
        self._settings = settings
        self._clock = context.clock
        self._logger = context.logger
        self._owner = owner
        self._is_writable = True
        self.publishing = self._connection(context, self.publisher)
        self.consuming = self._connection(context, self.replies)
        self._blocked_since: float | None = None
        self._watching: asyncio.TimerHandle | None = None

    async def open(self, address: BrokerAddress, name: str) -> None:
        """Makes both connections.

        Raises:
            OSError, AMQPError, BackendUnavailable, ChannelClosedError: they cannot be made.
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
            except TimeoutError:  # a broker that is blocked confirms nothing, and says so
                self._logger.warning("closed with %d messages unconfirmed", len(self.publisher))
        self.drop()
        await asyncio.gather(self.publishing.close(), self.consuming.close())

    def drop(self) -> None:
        """Tells the owner nothing any more."""
        self.is_lost = True
        if self._watching is not None:
            self._watching.cancel()

    @property
    def is_blocked(self) -> bool:
        """Whether the broker lacks memory or room, and says so."""
        return self.publishing.blocked is not None

    @property
    def is_writable(self) -> bool:
        """Whether the broker takes messages for now."""
        return self._is_writable

    async def update_secret(self, secret: str) -> None:
        """Tells the broker a new password, on both connections."""
        await asyncio.gather(
            self.publishing.update_secret(secret), self.consuming.update_secret(secret)
        )

    def check(self) -> None:
        """Raises BackendUnavailable if the link was lost while it was being made."""
        loss = self.publishing.loss or self.consuming.loss
        if loss is not None:
            raise BackendUnavailable(f"the link was lost at once: {loss}")

    # Inside

    def _connection(self, context: BackendContext, channel: OwnChannel) -> BrokerConnection:
        return BrokerConnection(context, channel, self._lose, self._show_writable)

    def _lose(self, reason: str) -> None:
        if not self.is_lost:
            self.drop()
            self._owner.link_lost(self, reason)

    def _show_writable(self) -> None:
        """What the broker says of the connection for replies is of no account."""
        if not self.is_blocked:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = self._clock.time()
        writable = self.publishing.is_writable
        if writable is not self._is_writable and not self.is_lost:
            self._is_writable = writable
            self.publisher.block(not writable)
            self._owner.link_writable(self, writable)

    def _watch(self) -> None:
        """Looks for what nobody tells: a cut, a broker that hangs, confirms that do not come."""
        settings, now = self._settings, self._clock.time()
        if self.is_lost:
            return
        for connection in (self.publishing, self.consuming):
            if now - connection.silent_since > settings.heartbeat * _SILENT_HEARTBEATS:
                connection.give_up(f"nothing came from the broker for {settings.heartbeat:g} s")
                return
        since = self.publisher.waiting_since()
        if since is not None and now - since > settings.confirm_timeout:
            self._lose(f"the broker confirmed nothing for {settings.confirm_timeout:g} s")
            return
        blocked, bound = self._blocked_since, settings.blocked_timeout
        if blocked is not None and bound is not None and now - blocked > bound:
            self._lose(f"the broker takes nothing: {self.publishing.blocked}")
            return
        times = [settings.heartbeat, settings.confirm_timeout, bound or settings.heartbeat]
        self._watching = self._clock.call_later(min(times) / _LOOKS, self._watch)
