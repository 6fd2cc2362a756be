"""For workers: removes messages that come again. Needs nothing of the gateway.

The gateway delivers at least once: after a loss it publishes again what it is not sure of, with the
same `message_id` and the header `wsgw-replayed`; and a broker delivers again, as `redelivered`,
what a worker has not acknowledged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Protocol, TypeVar

_REPLAYED = "wsgw-replayed"


class IncomingMessage(Protocol):
    """What matters of a message here; those of aio-pika have it."""

    message_id: str | None

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers."""
        ...

    @property
    def redelivered(self) -> bool | None:
        """Whether the broker may have delivered it before."""
        ...

    async def ack(self) -> None:
        """Acknowledges it."""
        ...


class SeenStore(Protocol):
    """Remembers which messages were handled; several workers share one."""

    async def contains(self, message_id: str, /) -> bool:
        """Returns whether a message was handled."""
        ...

    async def add(self, message_id: str, /) -> None:
        """Notes that a message was handled."""
        ...


class MemoryStore:
    """Remembers the latest messages of one worker, as long as it runs.

    Args:
        size: messages to remember.
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
    """Returns a decorator for what handles messages: it gets each of them once.

    A message that was handled before is acknowledged and goes no further. The store is only asked
    about messages that may come again; it is told of all of them, after the handler has returned.
    A worker that dies between the two handles the message again: whoever cannot bear that writes
    the id in the same transaction as the effects.

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
