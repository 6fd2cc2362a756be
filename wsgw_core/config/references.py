"""Checks what a well-formed configuration says: its files, what has no effect, what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from ..api import Options
from ..components import (
    BackendComponent,
    Components,
    GateComponent,
    ListenerComponent,
    ValveComponent,
)
from .gateway_config import GatewayConfig
from .problems import KeyPath, Origins, known_keys

_Component = BackendComponent | ValveComponent | ListenerComponent | GateComponent


def file_problems(config: GatewayConfig, components: Components, origins: Origins) -> list[str]:
    """Return a line for each file that cannot be used; see `Options.file_problems`.

    Args:
        config: the checked configuration.
        components: what its entries stand for.
        origins: where the configuration's values come from.
    """
    return [
        origins.problem((*path, key), problem)
        for path, model in all_options(config, components)
        for key, problem in model.file_problems()
    ]


def without_effect(config: GatewayConfig, components: Components, origins: Origins) -> list[str]:
    """Return a line for each key that is given and has no effect; see `Options`."""
    return [
        origins.problem((*path, key), field.description or "has no effect")
        for path, model in all_options(config, components)
        for key, name in known_keys(type(model)).items()
        if has_no_effect(field := type(model).model_fields[name]) and origins.sources((*path, key))
    ]


def doubts(config: GatewayConfig, components: Components, origins: Origins) -> list[str]:
    """Return a line for each key whose value is hardly what was meant; see `Options.doubts`."""
    limits = config.limits.for_plugins()
    return [
        origins.problem((*path, key), doubt)
        for path, model in all_options(config, components)
        for key, doubt in model.doubts(limits)
    ]


def has_no_effect(field: FieldInfo) -> bool:
    """Tell whether a key is accepted only."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("deprecated"))


def all_options(config: GatewayConfig, components: Components) -> Iterator[tuple[KeyPath, Options]]:
    """Yield every model of a configuration, those of plugins included, with its key path."""
    yield from _models((), config)
    yield from _models_of(components, (), ("upstream",))
    for number, route in enumerate(components.routes):
        path: KeyPath = ("routes", number)
        yield from _models_of(route, path, path)


def _models_of(
    components: Components, path: KeyPath, upstream: KeyPath
) -> Iterator[tuple[KeyPath, Options]]:
    """Yield the models of plugins.

    Args:
        components: of the gateway, or of one of its routes.
        path: the key path of what is made of them.
        upstream: the same for the backends.
    """
    sections: tuple[tuple[KeyPath, Sequence[_Component]], ...] = (
        ((*upstream, "backends"), components.backends),
        ((*path, "valves"), components.valves),
        ((*path, "listeners"), components.listeners),
        ((*path, "gates"), components.gates),
    )
    for section, entries in sections:
        for number, component in enumerate(entries):
            yield from _models((*section, number), component.options)


def _models(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Options]]:
    """Yield a model and all that it holds, each with its key path."""
    if isinstance(value, Options):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from _models((*path, field.alias or name), getattr(value, name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _models((*path, number), item)
