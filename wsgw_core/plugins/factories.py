"""Makes what plugins provide, and names the plugin where that fails."""

from __future__ import annotations

import inspect
from typing import Any

from ..api import (
    Backend,
    BackendContext,
    HandshakeGate,
    PluginContext,
    PluginError,
    Policy,
    SessionListener,
    Valve,
)
from .components import (
    BackendComponent,
    GateComponent,
    ListenerComponent,
    PolicyComponent,
    ValveComponent,
)

PluginComponent = ValveComponent | ListenerComponent | GateComponent | PolicyComponent


def make_backend(component: BackendComponent, context: BackendContext) -> Backend:
    """Call the factory of a backend.

    Raises:
        PluginError: what the factory returned is no backend.
        Exception: whatever the factory raises; a note says whose it is.
    """
    made: Backend = _made(f"backend {component.id}", component, context, Backend)
    return made


def make_plugin(component: PluginComponent, context: PluginContext) -> Any:
    """Call the factory of a valve, listener, gate or policy; see `make_backend`."""
    if isinstance(component, ValveComponent):
        return _made("valve", component, context, Valve)
    if isinstance(component, ListenerComponent):
        return _made("listener", component, context, SessionListener)
    if isinstance(component, PolicyComponent):
        return _made("policy", component, context, Policy)
    return _made("gate", component, context, HandshakeGate)


def _made(
    name: str,
    component: BackendComponent | PluginComponent,
    context: Any,
    protocol: object,
) -> Any:
    registration = component.registration
    name = f"{name}, kind {registration.kind!r}"
    try:
        made = registration.factory(component.options, context)
    except Exception as error:
        error.add_note(name)
        raise
    methods = [method for method in vars(protocol) if not method.startswith("_")]
    missing = [method for method in methods if not callable(getattr(made, method, None))]
    if missing:
        raise PluginError(
            f"{name}: its factory returned {type(made).__name__}, which lacks {', '.join(missing)}"
        )
    for method in ("open", "close"):
        if hasattr(made, method) and not inspect.iscoroutinefunction(getattr(made, method)):
            raise PluginError(f"{name}: {type(made).__name__}.{method} is not an async function")
    return made
