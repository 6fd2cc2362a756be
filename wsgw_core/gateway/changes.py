"""What a reload changes, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from ..api import Limits
from ..config.gateway_config import GatewayConfig
from ..plugins.plugin_specs import BackendSpec, PluginSpecs

# Listening sockets and the counters of clients stay as they are.
_FIXED = (
    "server.frontend.address",
    "server.admin",
    "limits.memory",
    "limits.max-sessions",
    "limits.max-sessions-per-address",
    "limits.max-handshakes-per-second",
    "limits.client-idle-timeout",
    "limits.max-session-life",
    "limits.slow-client-timeout",
    "server.frontend.ping-time",
    "server.frontend.ping-timeout",
    "upstream.resolve-interval",
    "upstream.health",
    "server.enable-instrumentation",
    "server.frontend.id",
)


def fixed_changes(old: GatewayConfig, new: GatewayConfig) -> list[str]:
    """Returns the keys whose new values take effect only at the next start."""
    values = {key: attrgetter(key.replace("-", "_")) for key in _FIXED}
    changed = [key for key, value in values.items() if value(old) != value(new)]
    if (old.server.frontend.tls is None) != (new.server.frontend.tls is None):
        changed.append("server.frontend.tls")
    return changed


def backend_changes(
    old: tuple[GatewayConfig, PluginSpecs], new: tuple[GatewayConfig, PluginSpecs]
) -> tuple[list[BackendSpec], list[BackendSpec]]:
    """Returns the new and changed backends, and the removed and changed ones.

    A backend also counts as changed if its group or the settings in its BackendContext change.
    """
    return list(_not_in(new, old)), list(_not_in(old, new))


def _told(config: GatewayConfig, group: str) -> tuple[Limits, float, float]:
    failover = config.groups[group]
    return config.limits.for_plugins(), failover.ping_timeout, failover.busy_bound


def _not_in(
    these: tuple[GatewayConfig, PluginSpecs], others: tuple[GatewayConfig, PluginSpecs]
) -> Iterator[BackendSpec]:
    known = {other.id: other for other in others[1].all_backends}
    for one in these[1].all_backends:
        other = known.get(one.id)
        if (
            other is None
            or not same_backend(one, other)
            or _told(these[0], one.group) != _told(others[0], other.group)
        ):
            yield one


def same_backend(one: BackendSpec, other: BackendSpec) -> bool:
    """Returns whether two entries with the same id are equal."""
    return (
        one.group == other.group
        and one.registration.kind == other.registration.kind
        and one.entry.breaker_threshold == other.entry.breaker_threshold
        and one.entry.priority == other.entry.priority
        and one.entry.weight == other.entry.weight
        and one.entry.discovered == other.entry.discovered
        and one.options == other.options
    )
