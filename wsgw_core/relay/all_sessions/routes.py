"""By which route a client is served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from websockets.datastructures import Headers

from ...api import HandshakeGate, normal_path
from ...config.host_pattern import normal_host
from ...config.route_options import RouteOptions
from ...plugins.open_plugins import PluginSet
from .session_context import SessionContext


@dataclass(frozen=True, slots=True)
class Route:
    """What the sessions of some clients are opened with.

    Attributes:
        options: say which clients are meant; None: all, where the gateway has no routes.
        gates: asked in this order.
        context: for the sessions.
    """

    options: RouteOptions | None
    gates: tuple[HandshakeGate, ...]
    context: SessionContext

    @property
    def id(self) -> str:
        """For operators; empty where the gateway has no routes."""
        return self.context.route

    @property
    def group(self) -> str:
        """The name of the group of its backends."""
        return self.options.group if self.options is not None else ""


class Routes:
    """The routes of one configuration, in their order; without any, one that is for all."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    @property
    def plugins(self) -> PluginSet:
        """The plugins' objects that their sessions use."""
        return self._routes[0].context.plugins

    def __iter__(self) -> Iterator[Route]:
        """Iterate over all."""
        return iter(self._routes)

    def choose(self, target: str, headers: Headers) -> Route | None:
        """Return the first route that a request is for; None: there is none.

        Args:
            target: path and query, as the client has sent them.
            headers: of the request, as it came; one of them is `Host`.
        """
        first = self._routes[0]
        if first.options is None:
            return first
        path, host = normal_path(target), normal_host(headers["Host"])
        for route in self._routes:
            if route.options is None or route.options.matches(path, host, headers):
                return route
        return None

    def may_fail_over(self, group: str) -> bool:
        """Tell whether sessions of any route may move within a group of backends."""
        return any(
            route.group == group and route.context.failover.enabled for route in self._routes
        )
