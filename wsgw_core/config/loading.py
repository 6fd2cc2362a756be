"""Loads a configuration with all that it names: file and variables, plugins and their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..api import ConfigurationError
from ..components import Components, resolve_entries
from ..plugin_loader import load_usable_plugins
from .entries import Entries
from .gateway_config import GatewayConfig
from .problems import Origins
from .references import file_problems
from .sources import read_sources


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that can be run.

    Attributes:
        config: the core's part.
        components: the plugins' part.
        origins: where the values come from.
    """

    config: GatewayConfig
    components: Components
    origins: Origins


def load_configuration(file: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Load and check everything: import the plugins named, read the files named.

    Does not touch the network.

    Args:
        file: YAML, or TOML when it is named so; None: the environment alone has to do.
        environment: such as `os.environ`.

    Raises:
        ConfigurationError: with all problems, those with the options of plugins included.
    """
    draft = read_sources(file, environment)
    problems = list(draft.problems)
    entries = Entries.of(draft.config) if draft.config else Entries.usable_in(draft.data)
    required = entries.required_plugins(draft.origins)
    plugins, plugin_problems = load_usable_plugins(required)
    problems += plugin_problems
    missing = {one.name for one in required} if plugin_problems else ()
    components, option_problems = resolve_entries(entries, plugins, draft.origins, missing)
    problems += option_problems
    if draft.config is not None and not problems:
        problems += file_problems(draft.config, components, draft.origins)
        if not problems:
            return Configuration(draft.config, components, draft.origins)
    raise ConfigurationError(problems)
