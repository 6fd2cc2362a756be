"""Waits for conditions over recorded events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FAKE_TIMEOUT = 3600.0
"""The timeout in seconds of the ends in memory: on a virtual clock it costs nothing."""


class Watch:
    """Checks the conditions of all waiters whenever something was recorded.

    Args:
        timeout: the timeout in seconds; generous, since only failing tests reach it.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiters: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Checks the conditions again."""
        for waiter in self._waiters:
            waiter.set()

    async def until(self, condition: Callable[[], bool], describe: Callable[[], str]) -> None:
        """Waits until `condition()` is true.

        Raises:
            AssertionError: the timeout was reached; the text is `describe()`.
        """
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(self._timeout):
                while not condition():
                    waiter.clear()
                    await waiter.wait()
        except TimeoutError:
            raise AssertionError(f"waited {self._timeout:g} s for {describe()}") from None
        finally:
            self._waiters.discard(waiter)
