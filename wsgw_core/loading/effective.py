"""Writes the effective configuration: all values with defaults, plugin options and sources."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from ..api import Options
from ..api.options import size_text
from ..config.failover_options import FailoverOptions
from ..config.gateway_config import GatewayConfig
from ..config.problems import KeyPath, known_keys
from ..config.route_options import RouteOptions
from ..config.route_rules import OF_A_GROUP
from ..config.upstream_options import Entry, PolicyEntry, ValveEntry
from ..masking import masked
from ..plugins.plugin_specs import PluginSpec, PluginSpecs
from .configuration import Configuration
from .references import all_options, has_no_effect


def effective_config(loaded: Configuration) -> str:
    """Returns the whole configuration as YAML, with the source of each value as a comment.

    Secrets are masked; a secret from a file is shown as that file. If nothing is masked, the result
    is a configuration file with the same effect.
    """
    plain = masked(plain_config(loaded.config, loaded.specs))
    return "\n".join(_Writer(loaded).lines(plain)) + "\n"


def plain_config(config: GatewayConfig, specs: PluginSpecs) -> dict[str, Any]:
    """Returns a configuration as plain data, including defaults and options of plugins."""
    plain = _plain(config)
    if config.limits.memory_bound is not None:
        plain["limits"]["memory"] = size_text(config.limits.memory_bound)
    plain["upstream"] |= _backends(specs)
    if not specs.backends:
        del plain["upstream"]["backends"]  # an empty list is not allowed
    plain["upstream"]["policy"] = _policy(config.upstream.policy, specs)
    plain["valves"] = _valves(config.valves, specs)
    plain["listeners"] = _entries(config.listeners, specs.listeners)
    plain["gates"] = _entries(config.gates, specs.gates)
    plain["routes"] = [
        _plain_route(config, route, specs.routes[number], plain)
        for number, route in enumerate(config.routes)
    ]
    return plain


def _plain_route(
    config: GatewayConfig, route: RouteOptions, own: PluginSpecs, whole: dict[str, Any]
) -> dict[str, Any]:
    """Returns a route with the options that it inherits from the gateway."""
    plain = _plain(route)
    failover = _plain(route.failover_over(config.failover))
    if route.backends is None:
        failover = {key: value for key, value in failover.items() if key not in OF_A_GROUP}
    else:
        inherited = whole["upstream"]["policy"]
        policy = inherited if route.policy is None else _policy(route.policy, own)
        plain |= {"policy": policy, **_backends(own)}
    plain["failover"] = failover
    plain["valves"] = whole["valves"] if route.valves is None else _valves(route.valves, own)
    plain["gates"] = whole["gates"] if route.gates is None else _entries(route.gates, own.gates)
    return {key: plain[key] for key in known_keys(RouteOptions) if key in plain}


def _backends(specs: PluginSpecs) -> dict[str, Any]:
    return {
        "backends": [
            {
                "id": one.id,
                **_entry(one.entry, one.options),
                "breaker-threshold": one.entry.breaker_threshold,
                "priority": one.entry.priority,
                "weight": one.entry.weight,
            }
            for one in specs.backends
        ]
    }


def _policy(entry: PolicyEntry, specs: PluginSpecs) -> dict[str, Any] | str:
    [given] = _entries([entry], specs.policies)
    return given if len(given) > 1 else entry.kind


def _valves(entries: Sequence[ValveEntry], specs: PluginSpecs) -> list[dict[str, Any]]:
    plain = _entries(entries, specs.valves)
    for valve, entry in zip(plain, entries, strict=True):
        valve["on-error"] = entry.on_error
    return plain


def _entries(entries: Sequence[Entry], specs: Sequence[PluginSpec]) -> list[dict[str, Any]]:
    return [_entry(entry, spec.options) for entry, spec in zip(entries, specs, strict=True)]


def _entry(entry: Entry, options: Options) -> dict[str, Any]:
    kind = {"kind": entry.kind} if entry.kind else {}
    url = getattr(entry, "url", None)
    # The entry's URL can differ from that of the options: `dns+ws://...`.
    first = {**kind, **({"url": url} if url else {})}
    return {**first, **_plain(options), **first}


def _plain(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Writer:
    """Writes mappings line by line, each value with its source as a comment."""

    def __init__(self, loaded: Configuration) -> None:
        self._origins = loaded.origins
        self._taken_over = dict(_taken_over(loaded.config))
        # Keys without effect are shown only if they are given.
        self._left_out = {
            (*path, key)
            for path, model in all_options(loaded.config, loaded.specs)
            for key, name in known_keys(type(model)).items()
            if has_no_effect(type(model).model_fields[name])
            and not loaded.origins.sources((*path, key))
        }

    def lines(self, data: dict[str, Any], path: KeyPath = ()) -> Iterator[str]:
        """Yields the lines of a mapping."""
        indent = "  " * sum(isinstance(part, str) for part in path)
        for key, value in data.items():
            here = (*path, key)
            given = self._given_at(here)
            if given in self._left_out:
                continue
            if isinstance(value, dict) and value:
                yield f"{indent}{_scalar(key)}:"
                yield from self.lines(value, here)
            elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
                yield f"{indent}{_scalar(key)}:"
                for number, item in enumerate(value):
                    first, *others = self.lines(item, (*here, number))
                    yield f"{indent}  - {first.lstrip()}"
                    yield from (f"  {line}" for line in others)
            elif file := self._origins.file(given):
                yield self._line(f"{indent}{key}-file: {_scalar(file)}", given)
            else:
                yield self._line(f"{indent}{_scalar(key)}: {_scalar(value)}", given)

    def _given_at(self, path: KeyPath) -> KeyPath:
        """Returns the key path at which a value is given: its own, or the gateway's."""
        for length in range(len(path), 2, -1):
            if path[:length] in self._taken_over:
                return self._taken_over[path[:length]] + path[length:]
        return path

    def _line(self, text: str, path: KeyPath) -> str:
        sources = ", ".join(" ".join(source.split()) for source in self._origins.sources(path))
        return f"{text:<48}  # {sources or 'default'}"


def _taken_over(config: GatewayConfig) -> Iterator[tuple[KeyPath, KeyPath]]:
    """Yields the key paths that routes inherit, with the key paths of the gateway."""
    for number, route in enumerate(config.routes):
        path: KeyPath = ("routes", number)
        if route.policy is None:
            yield (*path, "policy"), ("upstream", "policy")
        if route.valves is None:
            yield (*path, "valves"), ("valves",)
        if route.gates is None:
            yield (*path, "gates"), ("gates",)
        own = route.failover.model_fields_set if route.failover is not None else ()
        for key, name in known_keys(FailoverOptions).items():
            if name not in own:
                yield (*path, "failover", key), ("failover", key)


def _scalar(value: Any) -> str:
    """Writes a value, or a list of them, in one line."""
    text = yaml.safe_dump([value], default_flow_style=True, width=math.inf, allow_unicode=True)
    text = text.strip()[1:-1]
    return json.dumps(value, ensure_ascii=False) if "\n" in text else text
