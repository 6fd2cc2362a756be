"""The routes of one configuration, and which one serves a client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from websockets.datastructures import Headers

from ...api import HandshakeGate, normal_path
from ...config.patterns import normal_host
from ...config.route_options import RouteOptions
from ...plugins.open_plugins import PluginSet
from .session_context import SessionContext


@dataclass(frozen=True, slots=True)
class Route:
    """The gates and the context for some clients.

    Attributes:
        options: say which clients; None: all clients, if no routes are configured.
        gates: in the order in which they decide.
        context: for the route's sessions.
    """

    options: RouteOptions | None
    gates: tuple[HandshakeGate, ...]
    context: SessionContext

    @property
    def id(self) -> str:
        """The route's name for operators; empty if no routes are configured."""
        return self.context.route

    @property
    def group(self) -> str:
        """The name of the group of the route's backends."""
        return self.options.group if self.options is not None else ""


class Routes:
    """The routes of one configuration, in their order; at least one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    @property
    def plugins(self) -> PluginSet:
        """The plugins' objects that the routes' sessions use."""
        return self._routes[0].context.plugins

    def __iter__(self) -> Iterator[Route]:
        """Iterates over the routes, in their order."""
        return iter(self._routes)

    def choose(self, target: str, headers: Headers) -> Route | None:
        """Returns the first route that matches a request; None: no route does.

        Args:
            target: path and query, as the client has sent them.
            headers: the request's, as they came; one of them is `Host`.
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
        """Returns whether sessions of any route may move within a group of backends."""
        return any(
            route.group == group and route.context.failover.enabled for route in self._routes
        )
