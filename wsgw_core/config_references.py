"""Checks what a configuration refers to: its files. Whether it is well-formed is known by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .api import Options
from .components import (
    BackendComponent,
    Components,
    GateComponent,
    ListenerComponent,
    ValveComponent,
)
from .config import GatewayConfig
from .config_problems import KeyPath, Origins

_Component = BackendComponent | ValveComponent | ListenerComponent | GateComponent


def file_problems(config: GatewayConfig, components: Components, origins: Origins) -> list[str]:
    """Return a line for each file that cannot be used; see `Options.file_problems`.

    Args:
        config: the checked configuration.
        components: what its entries stand for.
        origins: where the configuration's values come from.
    """
    sections: tuple[tuple[KeyPath, Sequence[_Component]], ...] = (
        (("upstream", "backends"), components.backends),
        (("valves",), components.valves),
        (("listeners",), components.listeners),
        (("gates",), components.gates),
    )
    options: list[tuple[KeyPath, Options]] = [((), config)]
    options += [
        ((*section, number), component.options)
        for section, entries in sections
        for number, component in enumerate(entries)
    ]
    return [
        origins.problem((*path, key), problem)
        for start, value in options
        for path, model in _models(start, value)
        for key, problem in model.file_problems()
    ]


def _models(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Options]]:
    """Yield a model and all that it holds, each with its key path."""
    if isinstance(value, Options):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from _models((*path, field.alias or name), getattr(value, name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _models((*path, number), item)
