"""The hooks that a plugin implements. wsgw calls them once, at start; they only register kinds.

A plugin is a module named by entry points of the group `wsgw`, one for each kind and one for each
URL scheme that stands for a kind. The module states `WSGW_API = "1.0"`, the version of the contract
that it was written for, and decorates its hooks with `hookimpl`. Hooks are plain functions. An
`async def`, a misspelt name, or a kind registered twice is an error at start.
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
    """Registers backend kinds: call `registry.add(kind, options, factory, schemes=…)` for each."""


@hookspec
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Registers valve kinds: call `registry.add(kind, options, factory)` for each."""


@hookspec
def wsgw_register_listeners(registry: ListenerRegistry) -> None:
    """Registers listener kinds: call `registry.add(kind, options, factory)` for each."""


@hookspec
def wsgw_register_gates(registry: GateRegistry) -> None:
    """Registers gate kinds: call `registry.add(kind, options, factory)` for each."""


@hookspec
def wsgw_register_policies(registry: PolicyRegistry) -> None:
    """Registers policy kinds: call `registry.add(kind, options, factory)` for each."""
