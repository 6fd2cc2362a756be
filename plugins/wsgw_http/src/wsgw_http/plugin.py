"""Registers the backend kind `http`."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, PlayedBackend, hookimpl

from .backend import HttpBackend
from .settings import HttpSettings

WSGW_API = "1.0"

_PLAYED = PlayedBackend(
    "wsgw_http.played",
    "http://{address}/ws{{path}}",
    ways=(
        "kill",
        "away",
        "back-from-outage",
        "kill-in-turn",
        "kill-in-replay",
        "poison",
        "freeze",
        "blackhole",
        "reset",
        "slow-backend",
        "hang",
        "unavailable",
        "drop",
        "client-slow",
        "client-vanishes",
        "client-floods",
        "client-closes",
        "reset-in-close",
    ),
    # so that wsgw notices a loss as fast as with a websocket
    keys={"retries": "0", "request-timeout": "5s"},
)


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Registers the kind and its URL schemes."""
    registry.add(
        "http", HttpSettings, HttpBackend, schemes=("https",), played=_PLAYED, connectionless=True
    )
