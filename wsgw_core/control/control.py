"""The door between a gateway and its operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .commands import Command
from .events import Event
from .outcome import Outcome
from .status import (
    BackendSettings,
    BackendStatus,
    ConfigurationStatus,
    FrontendStatus,
    GatewayStatus,
    PluginStatus,
    RouteStatus,
    SessionStatus,
)


class Control(Protocol):
    """What can be asked of a gateway, and done to it; all of it in plain data."""

    async def do(self, command: Command) -> Outcome:
        """Carry out a command."""
        ...

    async def gateway(self) -> GatewayStatus:
        """Return what the gateway as a whole does."""
        ...

    async def backends(self) -> list[BackendStatus]:
        """Return all backends."""
        ...

    async def backend_settings(self, backend_id: str) -> BackendSettings | None:
        """Return the configuration of a backend or of a name; None: there is nothing of this id."""
        ...

    async def sessions(self) -> list[SessionStatus]:
        """Return all sessions; messages are relayed meanwhile."""
        ...

    async def frontends(self) -> list[FrontendStatus]:
        """Return all frontends."""
        ...

    async def routes(self) -> list[RouteStatus]:
        """Return the routes, in their order."""
        ...

    async def plugins(self) -> list[PluginStatus]:
        """Return all kinds that are registered."""
        ...

    async def configuration(self) -> ConfigurationStatus:
        """Return the configuration in effect."""
        ...

    def follow(self, tell: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with each event from now on; it must be quick.

        Returns:
            What ends that.
        """
        ...

    async def metrics(self) -> str:
        """Return all metrics in Prometheus' text format; messages are relayed meanwhile."""
        ...
