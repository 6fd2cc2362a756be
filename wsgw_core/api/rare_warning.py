"""A warning whose cause somebody else may have at will."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

_INTERVAL = 60.0  # seconds


class RareWarning:
    """Warns once a minute, however often it is asked to; then it tells how often it was silent.

    Args:
        logger: to warn with.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next = float("-inf")
        self._silent = 0

    def __call__(
        self,
        text: str,
        *arguments: object,
        level: int = logging.WARNING,
        exc_info: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Warn, or not; called on an event loop. The arguments are those of `Logger.log`."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            self._silent += 1
            return
        if self._silent:
            text, arguments = f"{text} (and %d more since the last one)", (*arguments, self._silent)
        self._next, self._silent = now + _INTERVAL, 0
        self._logger.log(level, text, *arguments, exc_info=exc_info, extra=extra)
