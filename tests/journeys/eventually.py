"""Waits for conditions that have no event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TIMEOUT = 60.0


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until the condition holds; fail an assertion after a long timeout."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what or condition}") from None
