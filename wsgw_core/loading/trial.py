"""Makes each valve, listener and gate once, without a gateway, for `wsgw check`."""

from __future__ import annotations

import asyncio
import logging

from ..api import ConfigurationError, Metrics, PluginContext
from ..config.problems import Origins
from ..masking import masked_text
from ..plugins.factories import make_plugin
from ..plugins.plugin_specs import BackendSpec, PluginSpecs
from .references import all_specs

_log = logging.getLogger("wsgw")


def failing_factories(specs: PluginSpecs, origins: Origins) -> list[str]:
    """Calls the factory of each valve, listener and gate, without opening the objects.

    Returns:
        A line for each error.
    """
    return asyncio.run(_failing_factories(specs, origins))


async def _failing_factories(specs: PluginSpecs, origins: Origins) -> list[str]:
    clock, metrics = asyncio.get_running_loop(), Metrics()
    problems: list[str] = []
    for path, spec in all_specs(specs):
        if isinstance(spec, BackendSpec):
            continue
        kind = spec.registration.kind
        context = PluginContext(clock, _log.getChild(kind), metrics.of(kind))
        try:
            make_plugin(spec, context)
        except ConfigurationError as error:
            problems += [origins.problem(path, problem) for problem in error.problems]
        except Exception as error:  # noqa: BLE001 - any error of a plugin
            text = masked_text(" ".join(f"{type(error).__name__}: {error}".split()))
            problems.append(origins.problem(path, f"{error.__notes__[-1]}: {text}"))
    return origins.in_order(problems)
