"""Brings configuration and plugins together: each configured entry with its kind and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from .api import ConfigurationError, Options
from .api.registry import (
    BackendFactory,
    GateFactory,
    ListenerFactory,
    Registration,
    Registry,
    ValveFactory,
)
from .config import BackendEntry, Entry, GatewayConfig
from .config_problems import KeyPath, Origins, validation_problems
from .plugin_loader import Plugins, RequiredPlugin

_FactoryT = TypeVar("_FactoryT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class BackendComponent:
    """One backend: its id, its kind and its checked options."""

    id: str
    registration: Registration[BackendFactory]
    options: Options


@dataclass(frozen=True, slots=True)
class ValveComponent:
    """One valve of the chain, and what happens when it fails."""

    registration: Registration[ValveFactory]
    options: Options
    on_error: Literal["close", "discard"] = "close"


@dataclass(frozen=True, slots=True)
class ListenerComponent:
    """One session listener."""

    registration: Registration[ListenerFactory]
    options: Options


@dataclass(frozen=True, slots=True)
class GateComponent:
    """One handshake gate."""

    registration: Registration[GateFactory]
    options: Options


@dataclass(frozen=True, slots=True)
class Components:
    """What a gateway is made of, in the order of the configuration."""

    backends: tuple[BackendComponent, ...]
    valves: tuple[ValveComponent, ...] = ()
    listeners: tuple[ListenerComponent, ...] = ()
    gates: tuple[GateComponent, ...] = ()


def required_plugins(
    config: GatewayConfig, origins: Origins | None = None
) -> tuple[RequiredPlugin, ...]:
    """Return the kinds and schemes for which the configuration needs plugins, for `load_plugins`.

    Args:
        config: the checked configuration.
        origins: where its values come from, for messages.
    """
    origins = origins or Origins()
    required: dict[str, RequiredPlugin] = {}
    for number, backend in enumerate(config.upstream.backends):
        naming: Literal["kind", "scheme"] = "kind" if backend.kind else "scheme"
        path = ("upstream", "backends", number, "kind" if backend.kind else "url")
        one = RequiredPlugin(backend.kind_or_scheme, naming, origins.place(path))
        required.setdefault(one.name, one)
    for section, entries in _other_sections(config):
        for number, entry in enumerate(entries):
            where = origins.place((section, number, "kind"))
            kind = entry.kind or ""
            required.setdefault(kind, RequiredPlugin(kind, "kind", where))
    return tuple(required.values())


def resolve_components(
    config: GatewayConfig, plugins: Plugins, origins: Origins | None = None
) -> Components:
    """Find each entry's kind and have its own keys checked by the kind's options model.

    Args:
        config: the checked configuration.
        plugins: must provide every kind named in it.
        origins: where the configuration's values come from, for messages.

    Raises:
        ConfigurationError: with all problems of all entries.
    """
    resolver = _Resolver(origins or Origins())
    components = Components(
        backends=tuple(
            BackendComponent(entry.effective_id, registration, options)
            for entry, registration, options in resolver.resolve(
                ("upstream", "backends"), config.upstream.backends, plugins.backends
            )
        ),
        valves=tuple(
            ValveComponent(registration, options, entry.on_error)
            for entry, registration, options in resolver.resolve(
                ("valves",), config.valves, plugins.valves
            )
        ),
        listeners=tuple(
            ListenerComponent(registration, options)
            for _, registration, options in resolver.resolve(
                ("listeners",), config.listeners, plugins.listeners
            )
        ),
        gates=tuple(
            GateComponent(registration, options)
            for _, registration, options in resolver.resolve(
                ("gates",), config.gates, plugins.gates
            )
        ),
    )
    if resolver.problems:
        raise ConfigurationError(resolver.problems)
    return components


_EntryT = TypeVar("_EntryT", bound=Entry)


class _Resolver:
    """Resolves one section after the other and gathers what is wrong with any."""

    def __init__(self, origins: Origins) -> None:
        self.problems: list[str] = []
        self._origins = origins

    def resolve(
        self, section: KeyPath, entries: tuple[_EntryT, ...], registry: Registry[_FactoryT]
    ) -> list[tuple[_EntryT, Registration[_FactoryT], Options]]:
        resolved = []
        for number, entry in enumerate(entries):
            path = (*section, number)
            registration = self._registration(path, entry, registry)
            if registration is None:
                continue
            try:
                options = registration.options.model_validate(_given(entry, registration.options))
            except ValidationError as error:
                self.problems += validation_problems(
                    error, registration.options, self._origins, path
                )
            except Exception as error:  # noqa: BLE001 - a fault in the code of a plugin
                self.problems.append(
                    self._origins.problem(
                        path,
                        f"the plugin of {registry.role} kind {registration.kind!r} cannot check"
                        f" its options: {type(error).__name__}: {error}",
                    )
                )
            else:
                resolved.append((entry, registration, options))
        return resolved

    def _registration(
        self, path: KeyPath, entry: Entry, registry: Registry[_FactoryT]
    ) -> Registration[_FactoryT] | None:
        key, naming = "kind", "kind"
        name = entry.kind or ""
        if isinstance(entry, BackendEntry):
            name = entry.kind_or_scheme
            key, naming = ("kind", "kind") if entry.kind else ("url", "scheme")
        registration = registry.find(name)
        if registration is None:
            near = get_close_matches(name, registry.kinds(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.problems.append(
                self._origins.problem(
                    (*path, key), f"no plugin registers {registry.role} {naming} {name!r}{hint}"
                )
            )
        return registration


def _given(entry: Entry, model: type[Options]) -> dict[str, Any]:
    """Return what the options model is given: the entry's own keys, and its URL if it wants it."""
    given = entry.options
    if isinstance(entry, BackendEntry) and entry.url is not None and "url" in model.model_fields:
        given["url"] = entry.url
    return given


def _other_sections(config: GatewayConfig) -> tuple[tuple[str, tuple[Entry, ...]], ...]:
    return (
        ("valves", config.valves),
        ("listeners", config.listeners),
        ("gates", config.gates),
    )
