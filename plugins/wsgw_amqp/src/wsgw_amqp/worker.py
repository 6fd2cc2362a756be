"""For workers: skips messages that come again. Needs nothing of the gateway.

The gateway delivers at least once. After a loss it publishes unconfirmed messages again, with the
same `message_id` and the header `wsgw-replayed`. A broker delivers unacknowledged messages again,
as `redelivered`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Protocol, TypeVar

_REPLAYED = "wsgw-replayed"


class IncomingMessage(Protocol):
    """The needed part of a message; messages of aio-pika have it."""

    message_id: str | None

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers."""

    @property
    def redelivered(self) -> bool | None:
        """Whether the broker may have delivered the message before."""

    async def ack(self) -> None:
        """Acknowledges the message."""


class SeenStore(Protocol):
    """Remembers handled messages; several workers share one store."""

    async def contains(self, message_id: str, /) -> bool:
        """Returns whether the message was handled."""

    async def add(self, message_id: str, /) -> None:
        """Adds a handled message."""


class MemoryStore:
    """Remembers the latest messages of one worker while it runs.

    Args:
        size: number of messages to remember.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._ids: dict[str, None] = {}

    async def contains(self, message_id: str) -> bool:
        """See SeenStore."""
        return message_id in self._ids

    async def add(self, message_id: str) -> None:
        """See SeenStore."""
        self._ids[message_id] = None
        if len(self._ids) > self._size:
            del self._ids[next(iter(self._ids))]


MessageT = TypeVar("MessageT", bound=IncomingMessage)
Handler = Callable[[MessageT], Awaitable[object]]


def seen(store: SeenStore) -> Callable[[Handler[MessageT]], Handler[MessageT]]:
    """Returns a decorator for a handler, which then gets each message once.

    The decorator acknowledges a message that was handled before. It asks the store only about
    messages that may come again, and adds each message after the handler has returned. A worker
    that dies between the two handles the message again. To avoid that, write the id in the same
    transaction as the effects.

    Args:
        store: remembers the ids.
    """

    def decorate(handle: Handler[MessageT]) -> Handler[MessageT]:
        @wraps(handle)
        async def once(message: MessageT) -> None:
            message_id = message.message_id
            may_repeat = bool(message.redelivered) or bool(message.headers.get(_REPLAYED))
            if message_id and may_repeat and await store.contains(message_id):
                await message.ack()
                return
            await handle(message)
            if message_id:
                await store.add(message_id)

        return once

    return decorate
