"""The options of a route: its conditions, and the settings that differ for its clients."""

from __future__ import annotations

from pydantic import Field
from websockets.datastructures import Headers

from ..api import HeaderName, HeaderValue, Options, PathPattern
from .address import HostName
from .failover_options import FailoverOptions
from .names import Name
from .upstream_options import BackendEntry, PluginEntry, PolicyEntry, ValveEntry

ANY_VALUE = "*"


class RouteOptions(Options):
    """The clients that meet all conditions, and the settings of their sessions.

    Omitted keys have the values of the whole gateway.
    """

    id: Name = Field(description="name for operators and metrics")
    paths: tuple[PathPattern, ...] = Field(
        default=(),
        description="patterns, one of which must match the path without the query: `*` stands for"
        " any characters within a segment, `**` for any number of segments; none: every path",
    )
    hosts: tuple[HostName, ...] = Field(
        default=(),
        description="hosts, one of which must be the host in `Host`: `chat.example.com`, or"
        " `*.example.com` for every host below it; none: every host",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default={},
        description="headers that the request must have with exactly these values; `*`: any value",
    )
    backends: tuple[BackendEntry, ...] | None = Field(
        default=None,
        min_length=1,
        description="a group of backends for this route alone, each with the keys of"
        " `upstream.backends[]`; none: the backends of `upstream.backends`",
    )
    policy: PolicyEntry | None = Field(
        default=None,
        description="replaces `upstream.policy`; only with `backends`",
    )
    failover: FailoverOptions | None = Field(
        default=None, description="keys of `failover` that differ for this route"
    )
    valves: tuple[ValveEntry, ...] | None = Field(
        default=None, description="replaces `valves`; `[]`: no valves"
    )
    gates: tuple[PluginEntry, ...] | None = Field(
        default=None, description="replaces `gates`; `[]`: no gates"
    )

    @property
    def group(self) -> str:
        """The group of its backends; empty: `upstream.backends`."""
        return self.id if self.backends is not None else ""

    @property
    def matches_all(self) -> bool:
        """Whether its conditions match every client."""
        any_path = not self.paths or any(path.matches_all for path in self.paths)
        return any_path and not self.hosts and not self.headers

    def matches(self, path: bytes, host: str, headers: Headers) -> bool:
        """Returns whether all conditions match.

        Args:
            path: the path, as returned by `normal_path`.
            host: the host, as returned by `normal_host`.
            headers: the headers of the request as received.
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
        """Returns the failover options of the gateway, overridden by those of this route."""
        own = self.failover
        if own is None:
            return common
        return common.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
