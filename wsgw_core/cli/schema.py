"""`wsgw schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration.

    It contains the options of all installed plugins. The command imports them for that; it reports
    a plugin that cannot be imported on stderr and leaves it out. Editors use the schema to check
    and complete a file.
    """
    from wsgw_core.loading.schema import config_schema  # noqa: PLC0415 - slow
    from wsgw_core.plugins.loader import (  # noqa: PLC0415 - slow
        installed_plugins,
        load_usable_plugins,
    )
    from wsgw_core.process.log_output import tell  # noqa: PLC0415 - slow

    names = [name for plugin in installed_plugins() for name in plugin.names]
    plugins, problems = load_usable_plugins(names)
    for problem in problems:
        tell(f"wsgw: {problem}")
    click.echo(json.dumps(config_schema(plugins), indent=2, ensure_ascii=False))
