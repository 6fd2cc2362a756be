"""The whole configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from ..api import Options
from .drain_options import DrainOptions
from .failover_options import FailoverOptions
from .limit_options import LimitOptions
from .problems import KeyPath
from .route_options import RouteOptions
from .route_rules import broken_rules
from .server_options import ServerOptions
from .upstream_options import BackendEntry, PluginEntry, UpstreamOptions, ValveEntry


class GatewayConfig(Options):
    """The whole configuration."""

    server: ServerOptions = ServerOptions()
    upstream: UpstreamOptions = UpstreamOptions()
    valves: tuple[ValveEntry, ...] = ()
    listeners: tuple[PluginEntry, ...] = ()
    gates: tuple[PluginEntry, ...] = ()
    failover: FailoverOptions = FailoverOptions()
    drain: DrainOptions = DrainOptions()
    limits: LimitOptions = LimitOptions()
    routes: tuple[RouteOptions, ...] = Field(
        default=(),
        description="rules that choose how clients are served; the first that matches applies, and"
        " a request without a match gets 404. None: all clients are served alike",
    )

    @model_validator(mode="before")
    @classmethod
    def _ask_for_backends(cls, data: Any) -> Any:
        """Makes missing backends a problem that is reported together with all others."""
        if not isinstance(data, Mapping) or data.get("routes"):
            return data
        upstream = data.get("upstream", {})
        if not isinstance(upstream, Mapping):
            return data
        return {**data, "upstream": {"backends": (), **upstream}}

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        broken = [
            InitErrorDetails(
                type="value_error", loc=path, input=self, ctx={"error": ValueError(text)}
            )
            for path, text in broken_rules(self)
        ]
        if broken:
            raise ValidationError.from_exception_data("GatewayConfig", broken)
        return self

    def backend_entries(self) -> Iterator[tuple[KeyPath, BackendEntry]]:
        """Yields the backends of all groups, each with its key path."""
        for number, backend in enumerate(self.upstream.backends):
            yield ("upstream", "backends", number), backend
        for place, route in enumerate(self.routes):
            for number, backend in enumerate(route.backends or ()):
                yield ("routes", place, "backends", number), backend

    @property
    def groups(self) -> dict[str, FailoverOptions]:
        """The failover options of each group of backends; see `RouteOptions.group`."""
        groups = {"": self.failover} if self.upstream.backends else {}
        for route in self.routes:
            if route.group:
                groups[route.group] = route.failover_over(self.failover)
        return groups
