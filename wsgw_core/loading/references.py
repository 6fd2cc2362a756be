"""Checks the files that a configuration names; warns about useless keys and doubtful values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from ..api import Options
from ..api.options import duration_text, is_duration
from ..config.gateway_config import GatewayConfig
from ..config.problems import KeyPath, Origins, known_keys
from ..plugins.plugin_specs import BackendSpec, PluginSpec, PluginSpecs

_LONG = 1000.0  # seconds

_Spec = BackendSpec | PluginSpec


def file_problems(config: GatewayConfig, specs: PluginSpecs, origins: Origins) -> list[str]:
    """Returns a line for each file that is not usable; see `Options.file_problems`.

    Args:
        config: the checked configuration.
        specs: its resolved entries.
        origins: the origins of the values.
    """
    return [
        origins.problem((*path, key), problem)
        for path, model in all_options(config, specs)
        for key, problem in model.file_problems()
    ]


def without_effect(config: GatewayConfig, specs: PluginSpecs, origins: Origins) -> list[str]:
    """Returns a line for each given key that has no effect; see `Options`."""
    return origins.in_order(
        origins.problem((*path, key), field.description or "has no effect")
        for path, model in all_options(config, specs)
        for key, name in known_keys(type(model)).items()
        if has_no_effect(field := type(model).model_fields[name]) and origins.sources((*path, key))
    )


def option_warnings(config: GatewayConfig, specs: PluginSpecs, origins: Origins) -> list[str]:
    """Returns a line for each key with a doubtful value; see `Options.warnings`."""
    limits = config.limits.for_plugins()
    doubts = [
        ((*path, key), warning)
        for path, model in all_options(config, specs)
        for key, warning in (*model.warnings(limits), *_forgotten_units(path, model, origins))
    ]
    doubts += dict.fromkeys(_unfit_valves(config, specs))
    return origins.in_order(origins.problem(path, warning) for path, warning in doubts)


def _unfit_valves(config: GatewayConfig, specs: PluginSpecs) -> Iterator[tuple[KeyPath, str]]:
    """Finds valves of protocols that the backends behind them cannot speak."""
    places: list[tuple[KeyPath, PluginSpecs, PluginSpecs]] = [((), specs, specs)]
    if config.routes:
        places = [
            (
                () if options.valves is None else ("routes", number),
                specs if options.valves is None else own,
                specs if options.backends is None else own,
            )
            for number, (options, own) in enumerate(zip(config.routes, specs.routes, strict=True))
        ]
    for path, with_valves, with_backends in places:
        backends = (each.registration for each in with_backends.backends)
        kinds = sorted({each.kind for each in backends if each.connectionless})
        for number, valve in enumerate(with_valves.valves):
            if kinds and valve.registration.needs_connection:
                text = "its protocol needs a server with a connection for each client; backends of"
                yield (*path, "valves", number, "kind"), f"{text} kind {', '.join(kinds)} have none"


def _forgotten_units(path: KeyPath, model: Options, origins: Origins) -> Iterator[tuple[str, str]]:
    """Finds durations that are probably meant in milliseconds: `dial-timeout: 10000`."""
    for key, name in known_keys(type(model)).items():
        value = getattr(model, name)
        if (
            is_duration(type(model).model_fields[name])
            and value is not None
            and value >= _LONG
            and origins.is_without_unit((*path, key))
        ):
            text = f"a number without a unit is in seconds: this is {duration_text(value)}"
            yield key, f"{text}; for milliseconds write {value:g}ms"


def has_no_effect(field: FieldInfo) -> bool:
    """Returns whether a key is accepted without effect."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("deprecated"))


def all_options(config: GatewayConfig, specs: PluginSpecs) -> Iterator[tuple[KeyPath, Options]]:
    """Yields every model of a configuration, those of plugins included, with its key path."""
    yield from _models((), config)
    for path, spec in all_specs(specs):
        yield from _models(path, spec.options)


def all_specs(specs: PluginSpecs) -> Iterator[tuple[KeyPath, _Spec]]:
    """Yields all specs, each with its key path."""
    yield from _placed(specs, (), ("upstream",))
    for number, route in enumerate(specs.routes):
        path: KeyPath = ("routes", number)
        yield from _placed(route, path, path)


def _placed(
    specs: PluginSpecs, path: KeyPath, upstream: KeyPath
) -> Iterator[tuple[KeyPath, _Spec]]:
    """Yields the specs of the gateway, or of one of its routes, each with its key path.

    Args:
        specs: the specs.
        path: the key path of the gateway or the route.
        upstream: the key path of the section with its backends.
    """
    sections: tuple[tuple[KeyPath, Sequence[_Spec]], ...] = (
        ((*upstream, "backends"), specs.backends),
        ((*path, "valves"), specs.valves),
        ((*path, "listeners"), specs.listeners),
        ((*path, "gates"), specs.gates),
    )
    for section, entries in sections:
        for number, spec in enumerate(entries):
            yield (*section, number), spec
    for policy in specs.policies:
        yield (*upstream, "policy"), policy


def _models(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Options]]:
    """Yields a model and all models inside it, each with its key path."""
    if isinstance(value, Options):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from _models((*path, field.alias or name), getattr(value, name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _models((*path, number), item)
