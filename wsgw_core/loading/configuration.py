"""Loads a whole configuration: file, variables, plugins and their options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api import ConfigurationError
from ..config.gateway_config import GatewayConfig
from ..config.problems import Origins
from ..config.sources import Draft, read_mapping, read_sources
from ..plugins.entries import Entries
from ..plugins.loader import load_usable_plugins
from ..plugins.plugin_specs import PluginSpecs, resolve_entries
from .references import file_problems


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked configuration, ready to run.

    Attributes:
        config: the options of the core.
        specs: the entries with the options of plugins.
        origins: the origins of the values.
    """

    config: GatewayConfig
    specs: PluginSpecs
    origins: Origins


def load_configuration(file: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Loads and checks everything, including the named plugins and files.

    Does not use the network.

    Args:
        file: a YAML file, or a TOML file if its suffix is `.toml`; None: only the environment.
        environment: the variables, such as `os.environ`.

    Raises:
        ConfigurationError: with all problems.
    """
    return _loaded(read_sources(file, environment))


def load_mapping(
    data: Mapping[str, Any], environment: Mapping[str, str], plugins: Iterable[object] = ()
) -> Configuration:
    """Works like `load_configuration` with the data of a mapping instead of a file.

    Args:
        data: sections as mappings, lists as sequences; file names can be paths.
        environment: variables that override the data.
        plugins: modules or other objects with hooks, in addition to the installed plugins.

    Raises:
        ConfigurationError: with all problems.
    """
    return _loaded(read_mapping(data, environment), plugins)


def _loaded(draft: Draft, given: Iterable[object] = ()) -> Configuration:
    problems = list(draft.problems)
    entries = Entries.of(draft.config) if draft.config else Entries.usable_in(draft.data)
    required = entries.required_plugins(draft.origins)
    plugins, plugin_problems = load_usable_plugins(required, given)
    problems += plugin_problems
    missing = {one.name for one in required if not plugins.roles_of(one.name)}
    specs, option_problems = resolve_entries(entries, plugins, draft.origins, missing)
    problems += option_problems
    if draft.config is not None and not problems:
        problems += file_problems(draft.config, specs, draft.origins)
        if not problems:
            return Configuration(draft.config, specs, draft.origins)
    raise ConfigurationError(draft.origins.in_order(problems))
