"""Registers the backend kind `nats`, which is also a URL scheme."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, hookimpl

from .backend import NatsBackend
from .settings import NatsSettings

WSGW_API = "1.0"


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Registers the backend's kind."""
    registry.add("nats", NatsSettings, NatsBackend)
