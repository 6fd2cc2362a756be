"""Writes a configuration as it is in effect: defaults and plugins' options, and their sources."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from ..api import Options
from ..masking import masked
from .loading import Configuration
from .problems import KeyPath, known_keys
from .references import all_options, has_no_effect
from .upstream_options import Entry


def effective_config(loaded: Configuration) -> str:
    """Return the whole configuration as YAML, with the source of each value behind it.

    Secrets are masked; one that was read from a file is shown as that file. Without masked secrets
    it is a configuration file of the same meaning.
    """
    plain = masked(_plain_config(loaded))
    return "\n".join(_Writer(loaded).lines(plain)) + "\n"


def _plain_config(loaded: Configuration) -> dict[str, Any]:
    config, components = loaded.config, loaded.components
    plain = _plain(config)
    plain["upstream"]["backends"] = [
        {
            "id": one.id,
            **_entry(one.entry, one.options),
            "breaker-threshold": one.entry.breaker_threshold,
            "priority": one.entry.priority,
        }
        for one in components.backends
    ]
    plain["valves"] = _entries(config.valves, [one.options for one in components.valves])
    for number, valve in enumerate(config.valves):
        plain["valves"][number]["on-error"] = valve.on_error
    plain["listeners"] = _entries(config.listeners, [one.options for one in components.listeners])
    plain["gates"] = _entries(config.gates, [one.options for one in components.gates])
    return plain


def _entries(entries: Sequence[Entry], options: Sequence[Options]) -> list[dict[str, Any]]:
    return [_entry(entry, given) for entry, given in zip(entries, options, strict=True)]


def _entry(entry: Entry, options: Options) -> dict[str, Any]:
    kind = {"kind": entry.kind} if entry.kind else {}
    url = getattr(entry, "url", None)
    # The core's own keys may say more than the kind is told: `dns+ws://...`.
    first = {**kind, **({"url": url} if url else {})}
    return {**first, **_plain(options), **first}


def _plain(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Writer:
    """Writes mappings line by line, each value with its source as a comment."""

    def __init__(self, loaded: Configuration) -> None:
        self._origins = loaded.origins
        # Keys that have no effect are worth a line only where somebody has given them.
        self._left_out = {
            (*path, key)
            for path, model in all_options(loaded.config, loaded.components)
            for key, name in known_keys(type(model)).items()
            if has_no_effect(type(model).model_fields[name])
            and not loaded.origins.sources((*path, key))
        }

    def lines(self, data: dict[str, Any], path: KeyPath = ()) -> Iterator[str]:
        """Yield the lines of a mapping."""
        indent = "  " * sum(isinstance(part, str) for part in path)
        for key, value in data.items():
            here = (*path, key)
            if here in self._left_out:
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
            elif file := self._origins.file(here):
                yield self._line(f"{indent}{key}-file: {_scalar(file)}", here)
            else:
                yield self._line(f"{indent}{_scalar(key)}: {_scalar(value)}", here)

    def _line(self, text: str, path: KeyPath) -> str:
        sources = ", ".join(" ".join(source.split()) for source in self._origins.sources(path))
        return f"{text:<48}  # {sources or 'default'}"


def _scalar(value: Any) -> str:
    """Write a value, or a list of them, in one line."""
    text = yaml.safe_dump([value], default_flow_style=True, width=math.inf, allow_unicode=True)
    text = text.strip()[1:-1]
    return json.dumps(value, ensure_ascii=False) if "\n" in text else text
