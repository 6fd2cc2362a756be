"""Registers a plugin from its module and makes its objects, as a gateway does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgw_core.api import (
    Backend,
    BackendContext,
    ConfigurationError,
    HandshakeGate,
    PluginContext,
    Policy,
    SessionListener,
    Valve,
)
from wsgw_core.config.problems import Origins
from wsgw_core.config.upstream_options import BackendEntry, PluginEntry, PolicyEntry, ValveEntry
from wsgw_core.plugins.entries import Entries
from wsgw_core.plugins.loader import Plugins
from wsgw_core.plugins.plugin_specs import PluginSpec, PluginSpecs, resolve_entries

__all__ = ["RegisteredPlugin"]


class RegisteredPlugin:
    """Makes the objects of a plugin from the options that an operator writes.

    So a test also covers the hooks and the checks of the options:

        gate = RegisteredPlugin(plugin).gate("token", {"header": "X-Token"}, make_plugin_context())

    Options are those of one entry of the configuration: keys with dashes, values as in a file.

    Args:
        module: the module with the hooks, which the entry point names.

    Raises:
        PluginError: the module breaks the contract.
    """

    def __init__(self, module: object) -> None:
        self._plugins = Plugins()
        self._plugins.register(module, getattr(module, "__name__", repr(module)))

    def backend(self, kind: str, options: Mapping[str, Any], context: BackendContext) -> Backend:
        """Returns a backend, not yet opened.

        Raises:
            ConfigurationError: the options are wrong.
        """
        entry = BackendEntry.model_validate({"kind": kind, **options})
        found = self._resolve(Entries([(("upstream", "backends", 0), entry)])).backends[0]
        return found.registration.factory(found.options, context)

    def valve(self, kind: str, options: Mapping[str, Any], context: PluginContext) -> Valve:
        """Returns a valve; raises ConfigurationError as `backend` does. See also ValveBench.of."""
        found = self.configured_valve(kind, options)
        made: Valve = found.registration.factory(found.options, context)
        return made

    def gate(self, kind: str, options: Mapping[str, Any], context: PluginContext) -> HandshakeGate:
        """Returns a gate; raises ConfigurationError as `backend` does."""
        entry = PluginEntry.model_validate({"kind": kind, **options})
        found = self._resolve(Entries((), gates=[(("gates", 0), entry)])).gates[0]
        made: HandshakeGate = found.registration.factory(found.options, context)
        return made

    def listener(
        self, kind: str, options: Mapping[str, Any], context: PluginContext
    ) -> SessionListener:
        """Returns a listener; raises ConfigurationError as `backend` does."""
        entry = PluginEntry.model_validate({"kind": kind, **options})
        found = self._resolve(Entries((), listeners=[(("listeners", 0), entry)])).listeners[0]
        made: SessionListener = found.registration.factory(found.options, context)
        return made

    def policy(self, kind: str, options: Mapping[str, Any], context: PluginContext) -> Policy:
        """Returns a policy; raises ConfigurationError as `backend` does."""
        entry = PolicyEntry.model_validate({"kind": kind, **options})
        path = ("upstream", "policy")
        found = self._resolve(Entries((), policies=[(path, entry)])).policies[0]
        made: Policy = found.registration.factory(found.options, context)
        return made

    def configured_valve(self, kind: str, options: Mapping[str, Any]) -> PluginSpec:
        """Returns the registration and the options of a valve; for ValveBench."""
        entry = ValveEntry.model_validate({"kind": kind, **options})
        return self._resolve(Entries((), valves=[(("valves", 0), entry)])).valves[0]

    def _resolve(self, entries: Entries) -> PluginSpecs:
        specs, problems = resolve_entries(entries, self._plugins, Origins())
        if problems:
            raise ConfigurationError(problems)
        return specs
