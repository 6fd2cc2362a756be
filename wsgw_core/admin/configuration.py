"""Calls about the configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from ..api import ConfigurationError
from .answers import failed, not_implemented, success

Reload = Callable[[], Awaitable[Sequence[str]]]


class ConfigurationCalls:
    """What can be done to the configuration.

    Args:
        reload: reads it anew; raises ConfigurationError, and then nothing has changed. None: there
            is nothing to read it from.
    """

    def __init__(self, reload: Reload | None) -> None:
        self._reload = reload

    async def reload(self, _request: web.Request) -> web.Response:
        """Read it anew."""
        if self._reload is None:
            return not_implemented()
        try:
            await self._reload()
        except ConfigurationError as error:
            return failed("; ".join(error.problems))
        return success()
