"""Calls about the configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from ..api import ConfigurationError
from ..reload_report import ReloadReport
from .answers import answer, failed, not_implemented

Reload = Callable[[], Awaitable[ReloadReport]]


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
            report = await self._reload()
        except ConfigurationError as error:
            return failed("; ".join(error.problems))
        return answer(
            {
                "result": "success",
                "summary": report.summary,
                "added": report.added,
                "removed": report.removed,
                "changed": report.changed,
                "unchanged": report.unchanged,
                "deleted": report.deleted,
                "waiting": report.waiting,
            }
        )
