"""Lets go of nats-py's tasks and of its socket, also when the server takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error


async def hang_up(
    nats: Client, subscriptions: Iterable[Subscription], is_cut: asyncio.Event, bound: float
) -> None:
    """Closes a connection; takes twice the bound at most.

    With something left to write, the library's `close` and `unsubscribe` wait for the server, or
    fail before they have closed the socket and ended all tasks. `force_reconnect` closes the socket
    first. Then the library would connect again; what is its `disconnected_cb` must keep it from
    that until `close` cancels it.

    Args:
        nats: the connection.
        subscriptions: all that it has.
        is_cut: set by `disconnected_cb`.
        bound: seconds.
    """
    await nats.force_reconnect()
    if nats.is_reconnecting:
        await _bounded(is_cut.wait(), bound)
    with suppress(Error):
        for subscription in subscriptions:
            await subscription.unsubscribe()
    await _bounded(nats.close(), bound)


async def _bounded(work: Coroutine[Any, Any, object], bound: float) -> None:
    """Awaits what may take too long, or fail, or take the end of a future for a cancellation."""
    task = asyncio.get_running_loop().create_task(work)
    await asyncio.wait([task], timeout=bound)
    task.cancel()
    await asyncio.wait([task])
    _ = task.cancelled() or task.exception()  # nobody else needs to know
