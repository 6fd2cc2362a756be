"""The whole configuration."""

from __future__ import annotations

from ..api import Options
from .drain_options import DrainOptions
from .failover_options import FailoverOptions
from .limit_options import LimitOptions
from .server_options import ServerOptions
from .upstream_options import ComponentEntry, UpstreamOptions, ValveEntry


class GatewayConfig(Options):
    """The whole configuration."""

    server: ServerOptions = ServerOptions()
    upstream: UpstreamOptions
    valves: tuple[ValveEntry, ...] = ()
    listeners: tuple[ComponentEntry, ...] = ()
    gates: tuple[ComponentEntry, ...] = ()
    failover: FailoverOptions = FailoverOptions()
    drain: DrainOptions = DrainOptions()
    limits: LimitOptions = LimitOptions()
