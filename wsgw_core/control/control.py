"""The interface between a gateway and its operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from . import status
from .commands import Command
from .events import Event
from .outcome import Outcome


class Control(Protocol):
    """Answers queries and carries out commands; all arguments and results are plain data."""

    async def do(self, command: Command) -> Outcome:
        """Carries out a command."""

    async def gateway(self) -> status.GatewayStatus:
        """Returns the status of the gateway as a whole."""

    async def backends(self) -> list[status.BackendStatus]:
        """Returns the backends in the order of the configuration, then those added later."""

    async def backend_settings(self, backend_id: str) -> status.BackendSettings | None:
        """Returns the configuration of a backend or of a DNS name; None: unknown id."""

    async def sessions(self) -> list[status.SessionStatus]:
        """Returns all sessions; lets sessions relay meanwhile."""

    async def frontends(self) -> list[status.FrontendStatus]:
        """Returns all frontends."""

    async def routes(self) -> list[status.RouteStatus]:
        """Returns the routes in their order."""

    async def plugins(self) -> list[status.PluginStatus]:
        """Returns all registered kinds."""

    async def configuration(self) -> status.ConfigurationStatus:
        """Returns the configuration in effect."""

    def follow(self, tell: Callable[[Event], object]) -> Callable[[], None]:
        """Calls a function with each event from now on; the function must return quickly.

        Returns:
            A function that ends this.
        """

    async def metrics(self) -> str:
        """Returns all metrics in Prometheus' text format; lets sessions relay meanwhile."""
