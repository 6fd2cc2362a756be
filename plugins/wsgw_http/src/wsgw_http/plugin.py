"""Registers the backend kind `http`."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, hookimpl

from .backend import HttpBackend
from .settings import HttpSettings

WSGW_API = "1.0"


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Register the kind and its URL schemes."""
    registry.add("http", HttpSettings, HttpBackend, schemes=("https",))
