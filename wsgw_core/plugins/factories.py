"""Calls the factories of plugins; names the plugin in errors."""

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
from .plugin_specs import (
    BackendSpec,
    GateSpec,
    ListenerSpec,
    PolicySpec,
    ValveSpec,
)

PluginSpec = ValveSpec | ListenerSpec | GateSpec | PolicySpec


def make_backend(spec: BackendSpec, context: BackendContext) -> Backend:
    """Calls the factory of a backend.

    Raises:
        PluginError: the factory did not return a backend.
        Exception: any error that the factory raises; a note names the plugin.
    """
    made: Backend = _made(f"backend {spec.id}", spec, context, Backend)
    return made


def make_plugin(spec: PluginSpec, context: PluginContext) -> Any:
    """Calls the factory of a valve, listener, gate or policy; see `make_backend`."""
    if isinstance(spec, ValveSpec):
        return _made("valve", spec, context, Valve)
    if isinstance(spec, ListenerSpec):
        return _made("listener", spec, context, SessionListener)
    if isinstance(spec, PolicySpec):
        return _made("policy", spec, context, Policy)
    return _made("gate", spec, context, HandshakeGate)


def _made(
    name: str,
    spec: BackendSpec | PluginSpec,
    context: Any,
    protocol: object,
) -> Any:
    registration = spec.registration
    name = f"{name}, kind {registration.kind!r}"
    try:
        made = registration.factory(spec.options, context)
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
