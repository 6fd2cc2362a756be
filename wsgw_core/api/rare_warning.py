"""Rate-limits warnings that an outsider can trigger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

_INTERVAL = 60.0  # seconds


class RareWarning:
    """Logs at most once a minute; each line says how many were suppressed since the last one.

    Args:
        logger: the logger for the warnings.
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
        """Logs, unless the last line is less than a minute old. Call it on an event loop.

        The arguments are those of `Logger.log`.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next:
            self._silent += 1
            return
        if self._silent:
            text, arguments = f"{text} (and %d more since the last one)", (*arguments, self._silent)
        self._next, self._silent = now + _INTERVAL, 0
        self._logger.log(level, text, *arguments, exc_info=exc_info, extra=extra)
