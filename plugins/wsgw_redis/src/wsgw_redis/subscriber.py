"""Shares subscriptions to channels among sessions."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import hiredis

from wsgw_core.api import (
    BINARY,
    TEXT,
    BackendUnavailable,
    Message,
    ReadBatch,
    ReplyOutcome,
)

from .dead_letters import BUFFER, INVALID
from .line import Line, Reply, pack
from .metrics import RedisMetrics
from .refusal import RefusalLog

if TYPE_CHECKING:
    from .connection import RedisConnection

_DEAD = {ReplyOutcome.SLOW_CLIENT: BUFFER, ReplyOutcome.TOO_LARGE: INVALID}


class Subscription(NamedTuple):
    """A channel or pattern to which a session subscribes.

    Attributes:
        is_pattern: whether the name is a pattern of channels.
        name: of the channel or pattern.
    """

    is_pattern: bool
    name: bytes


class _Channel:
    """A subscribed channel or pattern, and its subscribers."""

    def __init__(self) -> None:
        self.connections: set[RedisConnection] = set()
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Subscriber:
    """The subscriptions of all sessions; Redis has each channel and pattern once.

    Redis answers in the order of the commands, so sessions can leave a channel and join it again
    at once. Delivery is at most once: messages published while the line is lost are lost, and
    therefore the loss ends the sessions.

    Args:
        line: a connection only for subscriptions.
        kind: of messages; `auto`: text if the bytes are valid UTF-8.
        read_batch: the gateway's.
        metrics: the backend's.
        refusals: logs errors that only an operator can repair.

    Attributes:
        line: see above.
    """

    def __init__(
        self,
        line: Line,
        kind: Literal["auto", "text", "binary"],
        read_batch: ReadBatch,
        metrics: RedisMetrics,
        refusals: RefusalLog,
    ) -> None:
        self.line = line
        line.on_pushed = self._take
        self._kind = kind
        self._batch = read_batch
        self._metrics = metrics
        self._refusals = refusals
        self._channels: dict[Subscription, _Channel] = {}
        self._joined: dict[RedisConnection, tuple[Subscription, ...]] = {}

    def __len__(self) -> int:
        """The number of subscribed channels and patterns."""
        return len(self._channels)

    async def join(
        self, connection: RedisConnection, subscriptions: tuple[Subscription, ...]
    ) -> None:
        """Subscribes and waits for Redis's confirmation. If it is cancelled, call `leave`.

        Raises:
            BackendUnavailable: Redis refuses, or the line is lost.
        """
        self._joined[connection] = subscriptions
        wanted = []
        for subscription in dict.fromkeys(subscriptions):
            channel = self._channels.get(subscription)
            if channel is None:
                channel = self._channels[subscription] = _Channel()
                self._send("SUBSCRIBE", subscription, channel)
            channel.connections.add(connection)
            wanted.append(channel.confirmed)
        await asyncio.wait(wanted)
        for future in wanted:
            future.result()

    def leave(self, connection: RedisConnection) -> None:
        """Unsubscribes from the channels that no other session has."""
        for subscription in dict.fromkeys(self._joined.pop(connection, ())):
            channel = self._channels[subscription]
            channel.connections.discard(connection)
            if not channel.connections:
                del self._channels[subscription]
                self._send("UNSUBSCRIBE", subscription, channel)

    def fail(self, reason: str) -> None:
        """Makes each waiting `join` fail, because the line is lost."""
        for channel in self._channels.values():
            if not channel.confirmed.done():
                channel.confirmed.set_exception(BackendUnavailable(reason))
                channel.confirmed.exception()  # marks it as retrieved, in case no `join` waits

    # Inside

    def _send(self, command: str, subscription: Subscription, channel: _Channel) -> None:
        name = f"P{command}" if subscription.is_pattern else command
        self.line.send(pack((name, subscription.name)), 1, partial(self._answered, name, channel))

    def _answered(self, command: str, channel: _Channel, replies: list[Reply]) -> None:
        future = channel.confirmed
        if isinstance(replies[0], hiredis.ReplyError):
            refusal = self._refusals.take(command, replies[0])
            if not future.done():
                future.set_exception(BackendUnavailable(refusal.reason))
                future.exception()  # marks it as retrieved, in case no `join` waits
        elif not future.done():
            future.set_result(None)

    def _take(self, pushed: list[Reply]) -> None:
        kind, name, *_, data = pushed
        channel = self._channels.get(Subscription(kind == b"pmessage", name))
        message = self._message(data)
        if channel is None or message is None:
            return
        self._batch.is_open = True
        try:
            for connection in tuple(channel.connections):
                try:
                    outcome = connection.receive(message)
                except Exception as error:  # noqa: BLE001 - other sessions get the message
                    self._refusals.fault("a message of a channel cannot be delivered", error)
                    continue
                if outcome in _DEAD:
                    self._metrics.dead.labels(_DEAD[outcome]).value += 1
                elif outcome is ReplyOutcome.TAKEN:  # buffered ones are counted later
                    self._metrics.replies.value += 1
        finally:
            self._batch.close()

    def _message(self, data: bytes) -> Message | None:
        if self._kind == "binary":
            return Message(BINARY, data)
        try:
            if not data.isascii():
                data.decode()
        except UnicodeDecodeError:
            if self._kind == "auto":
                return Message(BINARY, data)
            self._metrics.dead.labels(INVALID).value += 1
            return None
        return Message(TEXT, data)
