"""Registers the policy kind `zone`."""

from __future__ import annotations

from wsgw_core.api import PolicyRegistry, hookimpl

from .policy import ZoneOptions, ZonePolicy

WSGW_API = "1.0"


@hookimpl
def wsgw_register_policies(registry: PolicyRegistry) -> None:
    """Registers the kind."""
    registry.add("zone", ZoneOptions, ZonePolicy)
