"""A warning whose cause somebody else may have at will."""

from __future__ import annotations

import asyncio
import logging

_INTERVAL = 60.0  # seconds


class RareWarning:
    """Warns once a minute, however often it is asked to.

    Args:
        logger: to warn with.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next = float("-inf")

    def __call__(self, text: str, *arguments: object) -> None:
        """Warn, or not; called on an event loop. The arguments are those of `Logger.warning`."""
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + _INTERVAL
            self._logger.warning(text, *arguments)
