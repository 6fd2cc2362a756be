"""Checks the entry of a backend that an operator adds, like the entries of a file."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import ValidationError

from ..api import ConfigurationError, run_in_thread
from ..config.gateway_config import GatewayConfig
from ..config.problems import Origins, key_path_text, validation_problems
from ..config.sources import repair_urls
from ..config.upstream_options import BackendEntry
from ..plugins.entries import Entries
from ..plugins.loader import Plugins, import_plugin
from ..plugins.plugin_specs import BackendSpec, PluginSpecs, resolve_entries
from .named_files import named_files
from .references import file_problems

_PLACE = "upstream.backends[0]"


class FilesNotAllowed(ConfigurationError):
    """An added entry names files, which is not allowed."""


async def resolve_backend(
    entry: Any, plugins: Plugins, *, allow_files: bool = False
) -> BackendSpec:
    """Finds the kind of a backend's entry, and checks its keys.

    Args:
        entry: plain data, as in `upstream.backends` of the configuration.
        plugins: the plugins of the gateway; an installed plugin is added if the entry needs it.
        allow_files: whether the entry may name files, which are then read.

    Raises:
        ConfigurationError: with all problems.
        FilesNotAllowed: the entry names files; they were not read.
    """
    if not isinstance(entry, dict):
        raise ConfigurationError("must be an object with the keys of a backend")
    if not (entry.get("url") or entry.get("kind")):
        raise ConfigurationError("no url")
    data = {"upstream": {"backends": [dict(entry)]}}
    origins = Origins()
    repair_urls(data, origins)
    try:
        config = GatewayConfig.model_validate(data)
        await _load_plugins(config, plugins, origins)
        if not allow_files:
            _check_files(config.upstream.backends[0], plugins)
        specs, problems = await run_in_thread(partial(_check, config, plugins, origins))
    except FilesNotAllowed:
        raise
    except ValidationError as error:
        problems = validation_problems(error, GatewayConfig, origins)
    except ConfigurationError as error:  # there is no plugin
        problems = list(error.problems)
    if problems:
        raise ConfigurationError([_without_place(problem) for problem in problems])
    return specs.backends[0]


async def _load_plugins(config: GatewayConfig, plugins: Plugins, origins: Origins) -> None:
    for required in Entries.of(config).required_plugins(origins):
        if plugins.backends.find(required.name) is not None:
            continue
        imported = await run_in_thread(partial(import_plugin, required))
        if plugins.backends.find(required.name) is None:  # not registered meanwhile
            plugins.register(imported.plugin, imported.source, imported.promised)


def _check_files(entry: BackendEntry, plugins: Plugins) -> None:
    kind = plugins.backends.find(entry.kind_or_scheme)
    named = list(named_files(entry.options, kind.options)) if kind is not None else ()
    if named:
        why = "must not name a file unless server.admin.allow-file-paths is true"
        raise FilesNotAllowed([f"{key_path_text(path)}: {why}" for path in named])


def _check(
    config: GatewayConfig, plugins: Plugins, origins: Origins
) -> tuple[PluginSpecs, list[str]]:
    specs, problems = resolve_entries(Entries.of(config), plugins, origins)
    return specs, problems or file_problems(config, specs, origins)


def _without_place(problem: str) -> str:
    return problem.replace(f"{_PLACE}.", "").removeprefix(f"{_PLACE}: ")
