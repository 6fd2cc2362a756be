"""Registers the backend kind `ws`."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, hookimpl

from .backend import WebSocketBackend
from .settings import WebSocketSettings

WSGW_API = "1.0"


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Registers the kind and its URL schemes."""
    registry.add("ws", WebSocketSettings, WebSocketBackend, schemes=("wss",))
