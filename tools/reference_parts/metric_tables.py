"""The metrics of the gateway and of the plugins in this workspace."""

from __future__ import annotations

import asyncio
import importlib
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsgw_core.api import Metrics, PluginContext
from wsgw_core.api.registry import Registry
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.metrics.families import FAMILIES, Family
from wsgw_core.plugins.loader import Plugins
from wsgw_core.testing.context import make_context

_ROOT = Path(__file__).resolve().parent.parent.parent

# Options with which each kind of backend makes all its metrics.
SAMPLES: dict[str, dict[str, Any]] = {
    "amqp": {"url": "amqps://127.0.0.1:1"},
    "ws": {"url": "wss://a:1"},
    "http": {"url": "https://a:1"},
    "jsonl": {"url": "jsonl://a:1"},
    "nats": {"url": "nats://a:1"},
    "zone": {"zone": "a"},
    "redis": {"url": "redis://a:1"},
    "access": {"rules": [{"action": "allow", "paths": ["/a"]}]},
    "headers": {"remove": ["Cookie"]},
    "json-schema": {"to-backend": "schema.json"},
    "jwt": {"keys-file": "keys.json"},
    "rate-limit": {"messages": 1},
    "remember": {"greeting": "^HELLO"},
}


def counters() -> Iterator[str]:
    """Yields the gateway's own counters."""
    metrics = Metrics()
    GatewayCounters(metrics)
    yield "| counter | meaning |"
    yield "|---|---|"
    for counter in metrics:
        yield f"| `wsgw_{counter.name}_total` | {counter.help} |"


def families(table: Iterable[Family]) -> Iterator[str]:
    """Yields metrics with their labels."""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for family in table:
        suffix = "_total" if family.kind == "counter" and family in FAMILIES else ""
        labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
        yield f"| `{family.name}{suffix}` | {family.kind} | {labels} | {family.help} |"


def metrics_of_plugins() -> Iterator[str]:
    """Yields the metrics of each plugin in this workspace."""
    yield "| metric | type | labels | plugin | meaning |"
    yield "|---|---|---|---|---|"
    for source in sources():
        for family in plugin_metrics(source):
            name = f"`wsgw_{family.name}{'_total' if family.kind == 'counter' else ''}`"
            labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
            plugin = source.name.replace("_", "-")
            yield f"| {name} | {family.kind} | {labels} | `{plugin}` | {family.help} |"


def sources() -> list[Path]:
    """Returns the folders of the plugins in this workspace, each with its pyproject."""
    root = _ROOT
    found = [*root.glob("plugins/wsgw_*"), *root.glob("examples/wsgw_*")]
    return sorted(path for path in found if (path / "pyproject.toml").exists())


def plugin_metrics(source: Path) -> Metrics:
    """Returns the metrics that a plugin's objects make when they are created."""
    sys.path.insert(0, str(source / "src"))
    entry_points = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    plugins = Plugins()
    for module in dict.fromkeys(entry_points["entry-points"].get("wsgw", {}).values()):
        plugins.register(importlib.import_module(module), module)
    metrics = Metrics()

    async def make_all() -> None:
        context = make_context()
        for kind in plugins.backends.kinds():
            own = replace(context, metrics=metrics.of(kind, backend="a"))
            backend = make(plugins.backends, kind, own)
            await backend.open()
            await backend.close()
        for registry in (plugins.valves, plugins.listeners, plugins.gates, plugins.policies):
            for kind in registry.kinds():
                made = PluginContext(context.clock, context.logger, metrics.of(kind))
                make(registry, kind, made)

    asyncio.run(make_all())
    return metrics


def make(registry: Registry[Any], kind: str, context: Any) -> Any:
    """Calls the factory of a kind, with sample options where it needs any."""
    found = registry.find(kind)
    assert found is not None  # noqa: S101 - it was registered
    options = found.options.model_validate(SAMPLES.get(kind, {}))
    return found.factory(options, context)
