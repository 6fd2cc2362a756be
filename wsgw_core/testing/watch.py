"""Waiting for conditions over recorded events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FAKE_PATIENCE = 3600.0
"""Seconds for the ends in memory: on a virtual clock they cost nothing."""


class Watch:
    """Wakes those who wait for a condition whenever something was recorded.

    Args:
        patience: seconds after which waiting fails; generous, since it ends only failing tests.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._waiters: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Has the conditions looked at again."""
        for waiter in self._waiters:
            waiter.set()

    async def until(self, condition: Callable[[], bool], describe: Callable[[], str]) -> None:
        """Returns once `condition()` is true.

        Raises:
            AssertionError: it did not become true; the text is `describe()`.
        """
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(self._patience):
                while not condition():
                    waiter.clear()
                    await waiter.wait()
        except TimeoutError:
            raise AssertionError(f"waited {self._patience:g} s for {describe()}") from None
        finally:
            self._waiters.discard(waiter)
