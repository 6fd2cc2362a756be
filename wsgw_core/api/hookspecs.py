"""The hooks that a plugin implements: they run once, at start, and only register.

A plugin is a module named by an entry point of the group `wsgw`, one entry for each kind and for
each URL scheme that stands for a kind. It states `WSGW_API = "1.0"`, the version of this contract
it was written for, and decorates its hooks with `hookimpl`. Hooks are plain functions; an
`async def`, a misspelt name and a kind registered twice are errors at start.
"""

from __future__ import annotations

import pluggy

from .registry import (
    BackendRegistry,
    GateRegistry,
    ListenerRegistry,
    PolicyRegistry,
    ValveRegistry,
)

API_VERSION = (1, 0)
ENTRY_POINT_GROUP = "wsgw"

hookspec = pluggy.HookspecMarker("wsgw")
hookimpl = pluggy.HookimplMarker("wsgw")


@hookspec
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Call `registry.add(kind, options, factory, schemes=…)` for each backend kind."""


@hookspec
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Call `registry.add(kind, options, factory)` for each valve kind."""


@hookspec
def wsgw_register_listeners(registry: ListenerRegistry) -> None:
    """Call `registry.add(kind, options, factory)` for each listener kind."""


@hookspec
def wsgw_register_gates(registry: GateRegistry) -> None:
    """Call `registry.add(kind, options, factory)` for each gate kind."""


@hookspec
def wsgw_register_policies(registry: PolicyRegistry) -> None:
    """Call `registry.add(kind, options, factory)` for each policy kind."""
