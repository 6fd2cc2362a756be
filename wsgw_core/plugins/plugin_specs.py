"""Resolves each entry of a configuration to its registered kind and its checked options."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import TypeAdapter, ValidationError

from ..api import ConfigurationError, Options, TlsClientOptions
from ..api.registry import BackendFactory, Registration, Registry
from ..config.address import id_from_address
from ..config.gateway_config import GatewayConfig
from ..config.problems import (
    KeyPath,
    Origins,
    found_text,
    known_keys,
    model_in,
    validation_problems,
)
from ..config.secrets import with_secrets
from ..config.upstream_options import BackendEntry, Entry, ValveEntry, before_fields
from ..masking import masked_text, without_secrets_of
from .entries import Entries, named_kind
from .loader import Plugins, RequiredPlugin

_FactoryT = TypeVar("_FactoryT", bound=Callable[..., Any])

_SECTIONS = {
    "backend": "upstream.backends",
    "valve": "valves",
    "listener": "listeners",
    "gate": "gates",
    "policy": "upstream.policy",
}


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One backend: its entry, its kind and its checked options.

    Attributes:
        group: its group; see `RouteOptions.group`.
        discovered_by: the id of the entry whose DNS name it was found by, if any.
    """

    entry: BackendEntry
    registration: Registration[BackendFactory]
    options: Options
    group: str = ""
    discovered_by: str = ""

    @property
    def id(self) -> str:
        """The id for operators."""
        return self.entry.effective_id

    def __str__(self) -> str:
        return f"backend {self.id}, kind {self.registration.kind!r}"

    def at_address(self, address: str) -> BackendSpec:
        """Returns the spec of the backend at one address of the entry's DNS name.

        TLS still requests and verifies the name.
        """
        url = self.entry.plain_url or ""
        address_part = before_fields(url)
        parts = urlsplit(address_part)
        before, at, _ = parts.netloc.rpartition("@")
        host = f"[{address}]" if ":" in address else address
        moved = urlunsplit(parts._replace(netloc=f"{before}{at}{host}:{parts.port}"))
        url = moved + url.removeprefix(address_part)
        fields = type(self.options).model_fields
        changed: dict[str, Any] = {"url": _of_type(fields["url"].annotation, url)}
        for name, field in fields.items():
            if model_in(field.annotation) is TlsClientOptions:
                tls = getattr(self.options, name) or TlsClientOptions()
                verified = tls.server_name or parts.hostname
                changed[name] = tls.model_copy(update={"server_name": verified})
        entry = {"url": url, "id": f"{self.id}-{id_from_address(address)}"}
        return replace(
            self,
            entry=self.entry.model_copy(update=entry),
            options=self.options.model_copy(update=changed),
            discovered_by=self.id,
        )


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """One valve, listener, gate or policy: its kind and its checked options.

    Attributes:
        route: the id of its route; empty: the gateway's.
        on_error: what happens when a valve fails.
    """

    registration: Registration[Any]
    options: Options
    route: str = ""
    on_error: Literal["close", "discard"] = "close"

    def __str__(self) -> str:
        return f"{self.registration.role}, kind {self.registration.kind!r}"

    def asks_for_the_same(self, other: PluginSpec) -> bool:
        """Returns whether another entry can use the same object."""
        return (
            self.route == other.route
            and self.registration.role == other.registration.role
            and self.registration.kind == other.registration.kind
            and self.options == other.options
        )


@dataclass(frozen=True, slots=True)
class PluginSpecs:
    """The specs of all entries of a gateway, or of one of its routes.

    Attributes:
        backends, valves, listeners, gates: the specs in the order of the configuration.
        routes: the own specs of each route.
        plugins: the registered plugins, for backends that are added later.
        policies: one spec, or none for a route that uses the gateway's policy.
    """

    backends: tuple[BackendSpec, ...]
    valves: tuple[PluginSpec, ...] = ()
    listeners: tuple[PluginSpec, ...] = ()
    gates: tuple[PluginSpec, ...] = ()
    routes: tuple[PluginSpecs, ...] = ()
    plugins: Plugins | None = None
    policies: tuple[PluginSpec, ...] = ()

    @property
    def all_backends(self) -> tuple[BackendSpec, ...]:
        """The backends of all groups."""
        return (*self.backends, *(one for route in self.routes for one in route.backends))


def required_plugins(config: GatewayConfig) -> tuple[RequiredPlugin, ...]:
    """Returns the kinds and schemes that plugins must provide; see `load_plugins`."""
    return Entries.of(config).required_plugins(Origins())


def resolve_specs(config: GatewayConfig, plugins: Plugins) -> PluginSpecs:
    """Finds the kind of each entry, and checks its keys with the kind's options model.

    Args:
        config: the checked configuration.
        plugins: the plugins that provide all kinds named in it.

    Raises:
        ConfigurationError: with all problems of all entries.
    """
    specs, problems = resolve_entries(Entries.of(config), plugins, Origins())
    if problems:
        raise ConfigurationError(problems)
    return specs


def resolve_entries(
    entries: Entries, plugins: Plugins, origins: Origins, missing: Collection[str] = ()
) -> tuple[PluginSpecs, list[str]]:
    """Resolves entries as `resolve_specs` does; return what could be, and the problems.

    Args:
        entries: the entries of a configuration.
        plugins: the registered plugins.
        origins: the origins of the values, for messages.
        missing: kinds and schemes already reported as missing; they are not reported again.
    """
    resolver = _Resolver(plugins, origins, missing)
    return replace(resolver.specs(entries), plugins=plugins), resolver.problems


_EntryT = TypeVar("_EntryT", bound=Entry)


class _Resolver:
    """Resolves all sections and collects the problems."""

    def __init__(self, plugins: Plugins, origins: Origins, missing: Collection[str]) -> None:
        self.problems: list[str] = []
        self._plugins = plugins
        self._origins = origins
        self._missing = missing

    def specs(self, entries: Entries) -> PluginSpecs:
        plugins = self._plugins
        return PluginSpecs(
            backends=tuple(
                BackendSpec(entry, registration, options, entries.group)
                for entry, registration, options in self._resolve(
                    entries.backends, plugins.backends
                )
            ),
            valves=self._plugins_of(entries.route, entries.valves, plugins.valves),
            listeners=self._plugins_of(entries.route, entries.listeners, plugins.listeners),
            gates=self._plugins_of(entries.route, entries.gates, plugins.gates),
            policies=self._plugins_of(entries.route, entries.policies, plugins.policies),
            routes=tuple(map(self.specs, entries.routes)),
        )

    def _plugins_of(
        self, route: str, entries: Iterable[tuple[KeyPath, _EntryT]], registry: Registry[Any]
    ) -> tuple[PluginSpec, ...]:
        return tuple(
            PluginSpec(
                registration,
                options,
                route,
                entry.on_error if isinstance(entry, ValveEntry) else "close",
            )
            for entry, registration, options in self._resolve(entries, registry)
        )

    def _resolve(
        self, entries: Iterable[tuple[KeyPath, _EntryT]], registry: Registry[_FactoryT]
    ) -> list[tuple[_EntryT, Registration[_FactoryT], Options]]:
        resolved = []
        for path, entry in entries:
            registration = self._registration(path, entry, registry)
            if registration is None:
                continue
            model = registration.options
            if _wants_addresses(entry) and "url" not in known_keys(model):
                text = f"kind {registration.kind!r} has no URL in which an address could stand"
                self.problems.append(self._origins.problem((*path, "url"), text))
                continue
            given, problems = with_secrets(_given(entry, model), model, self._origins, path)
            self.problems += problems
            try:
                options = model.model_validate(given)
            except ValidationError as error:
                self.problems += validation_problems(error, model, self._origins, path)
            except Exception as error:  # noqa: BLE001 - a fault in the code of a plugin
                self.problems.append(
                    self._origins.problem(
                        path,
                        f"the plugin of {registry.role} kind {registration.kind!r} cannot check"
                        f" its options: {type(error).__name__}:"
                        f" {masked_text(without_secrets_of(given, str(error)))}",
                    )
                )
            else:
                resolved.append((entry, registration, options))
        return resolved

    def _registration(
        self, path: KeyPath, entry: Entry, registry: Registry[_FactoryT]
    ) -> Registration[_FactoryT] | None:
        name, naming, key = named_kind(entry)
        registration = registry.find(name)
        if registration is None and name not in self._missing:
            near = get_close_matches(name, registry.kinds(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else self._other_role(name)
            self.problems.append(
                self._origins.problem(
                    (*path, key),
                    f"no plugin registers {registry.role} {naming} {found_text(name)}{hint}",
                )
            )
        return registration

    def _other_role(self, name: str) -> str:
        roles = self._plugins.roles_of(name)
        places = " or ".join(f"{role}, configured in {_SECTIONS[role]!r}" for role in roles)
        return f"; {name!r} is a {places}" if roles else ""


def _of_type(annotation: Any, value: str) -> Any:
    return TypeAdapter(annotation).validate_python(value)


def _wants_addresses(entry: Entry) -> bool:
    return isinstance(entry, BackendEntry) and entry.discovered


def _given(entry: Entry, model: type[Options]) -> dict[str, Any]:
    """Returns the data for the options model: the entry's keys, and the URL if the model has it."""
    given = entry.options
    if isinstance(entry, BackendEntry) and entry.url is not None and "url" in model.model_fields:
        given["url"] = entry.plain_url
    return given
