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
from ..api.registry import Registration
from .plugin_specs import BackendSpec, PluginSpec

_PROTOCOLS: dict[str, type] = {
    "backend": Backend,
    "valve": Valve,
    "listener": SessionListener,
    "gate": HandshakeGate,
    "policy": Policy,
}


def make_plugin(spec: BackendSpec | PluginSpec, context: BackendContext | PluginContext) -> Any:
    """Calls the factory of an entry, and returns its object.

    Raises:
        PluginError: the factory did not return an object of the entry's role.
        Exception: any error that the factory raises; a note names the plugin.
    """
    registration: Registration[Any] = spec.registration
    try:
        made = registration.factory(spec.options, context)
    except Exception as error:
        error.add_note(str(spec))
        raise
    methods = vars(_PROTOCOLS[registration.role])
    missing = [
        method
        for method in methods
        if not method.startswith("_") and not callable(getattr(made, method, None))
    ]
    if missing:
        raise PluginError(
            f"{spec}: its factory returned {type(made).__name__}, which lacks {', '.join(missing)}"
        )
    for method in ("open", "close"):
        if hasattr(made, method) and not inspect.iscoroutinefunction(getattr(made, method)):
            raise PluginError(f"{spec}: {type(made).__name__}.{method} is not an async function")
    return made
