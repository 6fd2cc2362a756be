"""Ends nats-py's tasks and closes its socket, even if the server does not read."""

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
    """Closes a connection; takes at most twice the bound.

    If data is left to write, nats-py's `close` and `unsubscribe` wait for the server, or fail
    before they have closed the socket and ended all tasks. `force_reconnect` closes the socket
    first. Then nats-py would reconnect; its `disconnected_cb` must block until `close` cancels it.

    Args:
        nats: the connection.
        subscriptions: all its subscriptions.
        is_cut: set by `disconnected_cb`.
        bound: seconds for each of two steps.
    """
    await nats.force_reconnect()
    if nats.is_reconnecting:
        await _bounded(is_cut.wait(), bound)
    with suppress(Error):
        for subscription in subscriptions:
            await subscription.unsubscribe()
    await _bounded(nats.close(), bound)


async def _bounded(work: Coroutine[Any, Any, object], bound: float) -> None:
    """Awaits work that may take too long, fail, or swallow a cancellation."""
    task = asyncio.get_running_loop().create_task(work)
    await asyncio.wait([task], timeout=bound)
    task.cancel()
    await asyncio.wait([task])
    _ = task.cancelled() or task.exception()  # marks the result as retrieved
