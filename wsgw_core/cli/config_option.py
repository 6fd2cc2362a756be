"""The option that names the configuration file, and what is loaded by it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wsgw_core.components import Components
    from wsgw_core.config import GatewayConfig

config_option = click.option(
    "-c",
    "-config",  # as wsbalancer has it
    "--config",
    "file",
    # Whether it can be read is found out where the other problems are gathered too.
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML or TOML file. Without one the environment (WSGW_..., BE_URLS, ...) has to do.",
)


def load(file: Path | None) -> tuple[GatewayConfig, Components]:
    """Load and check the configuration, import the plugins it names, and set logging up.

    Reads the files that the configuration names; does not touch the network.

    Raises:
        ConfigurationError: with all problems.
    """
    from wsgw_core.api import ConfigurationError  # noqa: PLC0415 - not needed for --help
    from wsgw_core.components import required_plugins, resolve_components  # noqa: PLC0415 - slow
    from wsgw_core.config_file import read_config  # noqa: PLC0415 - slow
    from wsgw_core.config_references import file_problems  # noqa: PLC0415 - slow
    from wsgw_core.log_output import set_up_logging  # noqa: PLC0415 - slow
    from wsgw_core.plugin_loader import load_plugins  # noqa: PLC0415 - slow

    set_up_logging("WARN")
    loaded = read_config(file, os.environ)
    set_up_logging(loaded.config.server.logging_level)
    plugins = load_plugins(required_plugins(loaded.config, loaded.origins))
    components = resolve_components(loaded.config, plugins, loaded.origins)
    problems = file_problems(loaded.config, components, loaded.origins)
    if problems:
        raise ConfigurationError(problems)
    return loaded.config, components
