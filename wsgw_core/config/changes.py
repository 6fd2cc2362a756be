"""What may change while a gateway runs, and what may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..api import Limits
from ..components import BackendComponent, Components
from .gateway_config import GatewayConfig
from .problems import KeyPath, key_path_text

# Sockets that listen stay, and so do those who count clients.
_FIXED: tuple[KeyPath, ...] = (
    ("server", "frontend", "address"),
    ("server", "admin"),
    ("limits", "max-sessions"),
    ("limits", "max-sessions-per-address"),
    ("limits", "max-handshakes-per-second"),
    ("limits", "client-idle-timeout"),
    ("limits", "max-session-life"),
    ("limits", "slow-client-timeout"),
    ("server", "frontend", "ping-time"),
    ("server", "frontend", "ping-timeout"),
    ("upstream", "resolve-interval"),
    ("upstream", "health"),
    ("server", "enable-instrumentation"),
    ("server", "frontend", "id"),
)


def fixed_changes(old: GatewayConfig, new: GatewayConfig) -> list[str]:
    """Return the keys whose new values can only take effect at the next start."""
    changed = [path for path in _FIXED if _value(old, path) != _value(new, path)]
    tls: KeyPath = ("server", "frontend", "tls")
    if (_value(old, tls) is None) != (_value(new, tls) is None):
        changed.append(tls)
    return [key_path_text(path) for path in changed]


def backend_changes(
    old: tuple[GatewayConfig, Components], new: tuple[GatewayConfig, Components]
) -> tuple[list[BackendComponent], list[BackendComponent]]:
    """Return the backends that are new or changed, and those that are gone or were changed.

    All are changed when that is what their plugins are told of the rest of the configuration.
    """
    (old_config, before), (new_config, now) = old, new
    if _told(old_config) != _told(new_config):
        return list(now.backends), list(before.backends)
    return list(_not_in(now.backends, before.backends)), list(
        _not_in(before.backends, now.backends)
    )


def _told(config: GatewayConfig) -> tuple[Limits, float]:
    return config.limits.for_plugins(), config.failover.ping_timeout


def _not_in(
    these: tuple[BackendComponent, ...], others: tuple[BackendComponent, ...]
) -> Iterator[BackendComponent]:
    known = {other.id: other for other in others}
    for one in these:
        other = known.get(one.id)
        if other is None or not _same(one, other):
            yield one


def _same(one: BackendComponent, other: BackendComponent) -> bool:
    return (
        one.registration.kind == other.registration.kind
        and one.entry.breaker_threshold == other.entry.breaker_threshold
        and one.entry.priority == other.entry.priority
        and one.entry.discovered == other.entry.discovered
        and one.options == other.options
    )


def _value(config: GatewayConfig, path: KeyPath) -> Any:
    value: Any = config
    for key in path:
        value = getattr(value, str(key).replace("-", "_"))
    return value
