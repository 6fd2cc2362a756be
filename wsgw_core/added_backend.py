"""Checks the entry of a backend that is added while the gateway runs, as a file's are checked."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from .api import ConfigurationError
from .components import BackendComponent, resolve_components
from .config.gateway_config import GatewayConfig
from .config.problems import Origins, validation_problems
from .config.references import file_problems
from .config.sources import repair_urls
from .plugin_loader import Plugins

_PLACE = "upstream.backends[0]"


def resolve_backend(entry: Any, plugins: Plugins) -> BackendComponent:
    """Find the kind of a backend's entry, and have its keys checked.

    Args:
        entry: plain data, as the configuration's `upstream.backends` has it.
        plugins: those of the gateway; no other is loaded.

    Raises:
        ConfigurationError: with all problems.
    """
    if not isinstance(entry, dict):
        raise ConfigurationError("not an object with the keys of a backend")
    if not (entry.get("url") or entry.get("kind")):
        raise ConfigurationError("no url")
    data = {"upstream": {"backends": [dict(entry)]}}
    origins = Origins()
    problems = repair_urls(data, origins)
    try:
        config = GatewayConfig.model_validate(data)
        components = resolve_components(config, plugins)
        problems += file_problems(config, components, origins)
    except ValidationError as error:
        problems += validation_problems(error, GatewayConfig, origins, ())
    except ConfigurationError as error:
        problems += error.problems
    else:
        if config.upstream.backends[0].discovered:
            problems.append("url: names are looked up only for backends of the configuration")
    if problems:
        raise ConfigurationError([_without_place(problem) for problem in problems])
    return components.backends[0]


def _without_place(problem: str) -> str:
    return problem.replace(f"{_PLACE}.", "").removeprefix(f"{_PLACE}: ")
