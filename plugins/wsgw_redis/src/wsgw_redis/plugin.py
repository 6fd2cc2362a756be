"""Registers the backend kind `redis`."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, PlayedBackend, hookimpl

from .backend import RedisBackend
from .server_address import SCHEMES
from .settings import RedisSettings

WSGW_API = "1.0"


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Registers the kind and its URL schemes."""
    registry.add(
        "redis",
        RedisSettings,
        RedisBackend,
        schemes=SCHEMES,
        connectionless=True,
        played=PlayedBackend(
            "wsgw_redis.played",
            "redis://{address}",
            ways=(
                *("away", "back-from-outage", "reset", "client-slow", "client-vanishes"),
                *("client-floods", "client-closes", "reset-in-close"),
            ),
            keys={
                "events": "connect,message,disconnect",
                "headers": "X-Wsgw-Replayed",
                "headers-on": "connect",
            },
            backends=1,
        ),
    )
