"""Registers the valve kind `mask`."""

from __future__ import annotations

from wsgw_core.api import ValveRegistry, hookimpl

from .settings import MaskSettings
from .valve import MaskValve

WSGW_API = "1.0"


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Registers the valve's kind."""
    registry.add("mask", MaskSettings, MaskValve)
