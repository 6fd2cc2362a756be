"""Shares subscriptions to channels among sessions."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal, NamedTuple, Protocol

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
from .measures import Measures
from .refusal import Refusal, RefusalLog

_DEAD = {ReplyOutcome.SLOW_CLIENT: BUFFER, ReplyOutcome.TOO_LARGE: INVALID}


class Subscription(NamedTuple):
    """What a session subscribes to.

    Attributes:
        is_pattern: whether the name stands for many channels.
        name: of the channel, or the pattern.
    """

    is_pattern: bool
    name: bytes


class Listener(Protocol):
    """A session's connection; each is one of its own."""

    def receive(self, message: Message, /) -> ReplyOutcome:
        """See WindowedConnection."""
        ...


class _Channel:
    """A channel or pattern that is subscribed to, and by whom."""

    def __init__(self) -> None:
        self.connections: set[Listener] = set()
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Subscriber:
    """The subscriptions of all sessions, each made once.

    Redis answers in the order of the commands, so that a channel may be left and joined again at
    once. Messages come at most once: those that are published while the line is lost are gone,
    which is why its loss ends the sessions.

    Args:
        line: a connection of its own.
        kind: of messages; `auto`: text where that is valid UTF-8.
        read_batch: of the gateway.
        measures: counts.
        refusals: tells operators of what only they can mend.

    Attributes:
        line: see above.
    """

    def __init__(
        self,
        line: Line,
        kind: Literal["auto", "text", "binary"],
        read_batch: ReadBatch,
        measures: Measures,
        refusals: RefusalLog,
    ) -> None:
        self.line = line
        line.on_pushed = self._take
        self._kind = kind
        self._batch = read_batch
        self._measures = measures
        self._refusals = refusals
        self._channels: dict[Subscription, _Channel] = {}
        self._joined: dict[Listener, tuple[Subscription, ...]] = {}

    def __len__(self) -> int:
        """How many channels and patterns are subscribed to."""
        return len(self._channels)

    async def join(self, connection: Listener, subscriptions: tuple[Subscription, ...]) -> None:
        """Subscribes, and returns when Redis has confirmed it; when cancelled, call `leave`.

        Raises:
            BackendUnavailable: Redis refuses, or the line is lost.
        """
        self._joined[connection] = subscriptions
        wanted = []
        for subscription in dict.fromkeys(subscriptions):
            channel = self._channels.get(subscription)
            if channel is None:
                channel = self._channels[subscription] = _Channel()
                self._say("SUBSCRIBE", subscription, channel)
            channel.connections.add(connection)
            wanted.append(channel.confirmed)
        await asyncio.wait(wanted)
        for future in wanted:
            future.result()

    def leave(self, connection: Listener) -> None:
        """Unsubscribes from what no other session is subscribed to."""
        for subscription in dict.fromkeys(self._joined.pop(connection, ())):
            channel = self._channels[subscription]
            channel.connections.discard(connection)
            if not channel.connections:
                del self._channels[subscription]
                self._say("UNSUBSCRIBE", subscription, channel)

    def fail(self, reason: str) -> None:
        """Lets those who wait know that the line is lost."""
        for channel in self._channels.values():
            if not channel.confirmed.done():
                channel.confirmed.set_exception(BackendUnavailable(reason))
                channel.confirmed.exception()  # nobody may wait for it

    # Inside

    def _say(self, command: str, subscription: Subscription, channel: _Channel) -> None:
        name = f"P{command}" if subscription.is_pattern else command
        self.line.send(pack((name, subscription.name)), 1, partial(self._answered, name, channel))

    def _answered(self, command: str, channel: _Channel, replies: list[Reply]) -> None:
        future = channel.confirmed
        if isinstance(replies[0], hiredis.ReplyError):
            refusal = Refusal(str(replies[0]))
            self._measures.refused.labels(refusal.word).value += 1
            self._refusals.note(command, refusal.reason)
            if not future.done():
                future.set_exception(BackendUnavailable(refusal.reason))
                future.exception()  # nobody may wait for it
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
                except Exception as error:  # noqa: BLE001 - it must not keep others from theirs
                    self._refusals.fault("a message of a channel cannot be passed on", error)
                    continue
                if outcome in _DEAD:
                    self._measures.dead.labels(_DEAD[outcome]).value += 1
                elif outcome is ReplyOutcome.TAKEN:  # what is held is counted later
                    self._measures.replies.value += 1
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
            self._measures.dead.labels(INVALID).value += 1
            return None
        return Message(TEXT, data)
