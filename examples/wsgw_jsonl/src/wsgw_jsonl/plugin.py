"""Registers the backend kind `jsonl`, which is also a URL scheme."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, hookimpl

from .backend import JsonLinesBackend
from .settings import JsonLinesSettings

WSGW_API = "1.0"


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Registers the backend's kind."""
    registry.add("jsonl", JsonLinesSettings, JsonLinesBackend)
