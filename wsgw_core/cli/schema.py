"""`wsgw schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration.

    It has the options of all installed plugins, which are imported for it; one that cannot be is
    told on stderr and left out. Editors check and complete a file by it.
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
