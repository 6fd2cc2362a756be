"""Which clients a route is for, and what is different for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer
from websockets.datastructures import Headers

from ..api import Options
from ..api.options import HeaderName
from .address import TEXT
from .failover_options import FailoverOptions
from .host_pattern import HostPattern
from .names import HeaderValue, Name
from .path_pattern import PathPattern
from .upstream_options import BackendEntry, ComponentEntry, Policy, ValveEntry

ANY_VALUE = "*"

RoutePath = Annotated[PathPattern, BeforeValidator(PathPattern.parse), PlainSerializer(str), TEXT]
RouteHost = Annotated[HostPattern, BeforeValidator(HostPattern.parse), PlainSerializer(str), TEXT]


class RouteOptions(Options):
    """Clients for whom all of the conditions hold, and their sessions.

    What is not given is as for the whole gateway.
    """

    id: Name = Field(description="the name for operators and metrics")
    paths: tuple[RoutePath, ...] = Field(
        default=(),
        description="one of these is the path of the request, without the query: `*` stands for any"
        " characters within a segment, `**` for any number of segments; none: every path",
    )
    hosts: tuple[RouteHost, ...] = Field(
        default=(),
        description="one of these is the host that the client asks for with `Host`:"
        " `chat.example.com`, or `*.example.com` for every host below it; none: every host",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default={},
        description="the request has each of these headers with this very value; `*`: with any",
    )
    backends: tuple[BackendEntry, ...] | None = Field(
        default=None,
        min_length=1,
        description="a group of backends for this route alone, each with the keys of"
        " `upstream.backends[]`; none: those of `upstream.backends`",
    )
    policy: Policy | None = Field(
        default=None,
        description="instead of `upstream.policy`; only with `backends`",
    )
    failover: FailoverOptions | None = Field(
        default=None, description="the keys of `failover` that differ for this route"
    )
    valves: tuple[ValveEntry, ...] | None = Field(
        default=None, description="instead of `valves`; `[]`: no valves at all"
    )
    gates: tuple[ComponentEntry, ...] | None = Field(
        default=None, description="instead of `gates`; `[]`: no gates at all"
    )

    @property
    def group(self) -> str:
        """The name of its group of backends; empty: that of `upstream.backends`."""
        return self.id if self.backends is not None else ""

    @property
    def matches_all(self) -> bool:
        """Whether it has no condition that could keep anybody out."""
        any_path = not self.paths or any(path.matches_all for path in self.paths)
        return any_path and not self.hosts and not self.headers

    def matches(self, path: bytes, host: str, headers: Headers) -> bool:
        """Tell whether all conditions hold.

        Args:
            path: as `normal_path` returns it.
            host: as `normal_host` returns it.
            headers: of the request, as it came.
        """
        return (
            (not self.paths or any(pattern.matches(path) for pattern in self.paths))
            and (not self.hosts or any(pattern.matches(host) for pattern in self.hosts))
            and all(
                name in headers if value == ANY_VALUE else value in headers.get_all(name)
                for name, value in self.headers.items()
            )
        )

    def failover_over(self, common: FailoverOptions) -> FailoverOptions:
        """Return the gateway's failover options with the keys that differ for this route."""
        own = self.failover
        if own is None:
            return common
        return common.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
