"""Waiting for what has to happen and tells nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TIMEOUT = 60.0


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until the condition holds; an assertion fails when it does not in a long time."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what or condition}") from None
