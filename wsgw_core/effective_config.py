"""Writes a configuration as it is in effect: defaults and plugins' options included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from .api import Options
from .components import Components
from .config import Entry, GatewayConfig
from .masking import masked


def effective_config(config: GatewayConfig, components: Components) -> str:
    """Return the whole configuration as YAML, with secrets masked.

    Without secrets in it, it is a configuration file of the same meaning.
    """
    plain = _plain(config)
    plain["upstream"]["backends"] = [
        {"id": component.id, **_entry(entry, component.options)}
        for entry, component in zip(config.upstream.backends, components.backends, strict=True)
    ]
    plain["valves"] = _entries(config.valves, [one.options for one in components.valves])
    for number, valve in enumerate(config.valves):
        plain["valves"][number]["on-error"] = valve.on_error
    plain["listeners"] = _entries(config.listeners, [one.options for one in components.listeners])
    plain["gates"] = _entries(config.gates, [one.options for one in components.gates])
    return yaml.safe_dump(masked(plain), sort_keys=False, allow_unicode=True)


def _entries(entries: Sequence[Entry], options: Sequence[Options]) -> list[dict[str, Any]]:
    return [_entry(entry, given) for entry, given in zip(entries, options, strict=True)]


def _entry(entry: Entry, options: Options) -> dict[str, Any]:
    kind = {"kind": entry.kind} if entry.kind else {}
    url = getattr(entry, "url", None)
    return {**kind, **({"url": url} if url else {}), **_plain(options)}


def _plain(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True, exclude_none=True)
