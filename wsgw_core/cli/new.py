"""`wsgw new`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wsgw_core.scaffold.distribution import PluginKind


@click.command()
@click.argument("plugin", type=click.Choice(["backend", "valve", "listener", "gate"]))
@click.argument("name")
@click.option(
    "--into",
    "parent",
    type=click.Path(path_type=Path),
    default=".",
    metavar="FOLDER",
    help="Where the new folder is made; by default the current folder.",
)
def new(plugin: PluginKind, name: str, parent: Path) -> None:
    """Write a new plugin, ready to install: PLUGIN says of what sort, NAME is its kind.

    The folder wsgw-NAME gets a distribution of its own with an entry point, options, a small working
    plugin and its tests. It passes its tests, ruff and mypy as it is.

    Exit status: 0 written, 2 the name cannot be used or the folder exists.
    """
    from wsgw_core.scaffold.distribution import write_distribution  # noqa: PLC0415 - slow
    from wsgw_core.scaffold.plugin_name import PluginName  # noqa: PLC0415 - slow

    plugin_name = PluginName.parse(name)
    for path in write_distribution(plugin, plugin_name, parent):
        click.echo(path)
    folder = parent / plugin_name.distribution
    click.echo(f"\nNow:  pip install -e '{folder}[dev]'  &&  cd '{folder}'  &&  pytest", err=True)
