"""The entries of a configuration that need plugins, each with its key path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from ..config.gateway_config import GatewayConfig
from ..config.problems import KeyPath, Origins
from ..config.upstream_options import BackendEntry, Entry, PluginEntry, PolicyEntry, ValveEntry
from .loader import OWN_POLICIES, Naming, RequiredPlugin

_EntryT = TypeVar("_EntryT", bound=Entry)


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a gateway, or of one of its routes.

    Attributes:
        backends, valves, listeners, gates: the entries in the order of the configuration.
        routes: the own entries of each route.
        group: the group of the backends; see `RouteOptions.group`.
        route: the id of the route; empty: the gateway's entries.
        policies: one entry, or none for a route that uses the gateway's policy.
    """

    backends: Sequence[tuple[KeyPath, BackendEntry]]
    valves: Sequence[tuple[KeyPath, ValveEntry]] = ()
    listeners: Sequence[tuple[KeyPath, PluginEntry]] = ()
    gates: Sequence[tuple[KeyPath, PluginEntry]] = ()
    routes: Sequence[Entries] = ()
    group: str = ""
    route: str = ""
    policies: Sequence[tuple[KeyPath, PolicyEntry]] = ()

    @classmethod
    def of(cls, config: GatewayConfig) -> Entries:
        """Returns all entries of a configuration."""
        routes = []
        for number, route in enumerate(config.routes):
            path: KeyPath = ("routes", number)
            routes.append(
                cls(
                    _numbered((*path, "backends"), route.backends or ()),
                    _numbered((*path, "valves"), route.valves or ()),
                    gates=_numbered((*path, "gates"), route.gates or ()),
                    policies=[((*path, "policy"), route.policy)] if route.policy else (),
                    group=route.group,
                    route=route.id,
                )
            )
        return cls(
            _numbered(("upstream", "backends"), config.upstream.backends),
            _numbered(("valves",), config.valves),
            _numbered(("listeners",), config.listeners),
            _numbered(("gates",), config.gates),
            routes,
            policies=[(("upstream", "policy"), config.upstream.policy)],
        )

    @classmethod
    def usable_in(cls, data: Mapping[str, Any]) -> Entries:
        """Returns the valid entries of an invalid configuration."""
        upstream, routes = data.get("upstream"), data.get("routes")
        return cls(
            _usable(("upstream",), upstream, "backends", BackendEntry),
            _usable((), data, "valves", ValveEntry),
            _usable((), data, "listeners", PluginEntry),
            _usable((), data, "gates", PluginEntry),
            [
                cls(
                    _usable(("routes", number), route, "backends", BackendEntry),
                    _usable(("routes", number), route, "valves", ValveEntry),
                    gates=_usable(("routes", number), route, "gates", PluginEntry),
                    policies=_usable_policy(("routes", number), route),
                )
                for number, route in enumerate(routes if isinstance(routes, list) else ())
            ],
            policies=_usable_policy(("upstream",), upstream),
        )

    def required_plugins(self, origins: Origins) -> tuple[RequiredPlugin, ...]:
        """Returns the kinds and schemes that plugins must provide; see `load_plugins`."""
        required: dict[str, RequiredPlugin] = {}
        for path, entry in self.walk():
            name, naming, key = named_kind(entry)
            if isinstance(entry, PolicyEntry):
                if name in OWN_POLICIES:
                    continue
                naming = "policy"
            required.setdefault(name, RequiredPlugin(name, naming, origins.place((*path, key))))
        return tuple(required.values())

    def walk(self) -> Iterator[tuple[KeyPath, Entry]]:
        """Yields all entries, including those of routes."""
        yield from self.backends
        yield from self.valves
        yield from self.listeners
        yield from self.gates
        yield from self.policies
        for route in self.routes:
            yield from route.walk()


def named_kind(entry: Entry) -> tuple[str, Naming, str]:
    """Returns the name that a plugin must register, what the name is, and the key that has it."""
    if isinstance(entry, BackendEntry) and not entry.kind:
        return entry.kind_or_scheme, "scheme", "url"
    return entry.kind or "", "kind", "kind"


def _numbered(section: KeyPath, entries: Sequence[_EntryT]) -> list[tuple[KeyPath, _EntryT]]:
    return [((*section, number), entry) for number, entry in enumerate(entries)]


def _usable(
    path: KeyPath, data: Any, key: str, model: type[_EntryT]
) -> list[tuple[KeyPath, _EntryT]]:
    usable = []
    items = data.get(key) if isinstance(data, Mapping) else None
    for number, item in enumerate(items) if isinstance(items, list) else ():
        with suppress(ValidationError):
            usable.append(((*path, key, number), model.model_validate(item)))
    return usable


def _usable_policy(path: KeyPath, data: Any) -> list[tuple[KeyPath, PolicyEntry]]:
    policy = data.get("policy") if isinstance(data, Mapping) else None
    with suppress(ValidationError):
        if policy is not None:
            return [((*path, "policy"), PolicyEntry.model_validate(policy))]
    return []
