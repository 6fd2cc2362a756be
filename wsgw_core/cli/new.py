"""`wsgw new`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wsgw_core.scaffold.distribution import PluginRole


@click.command()
@click.argument("role", type=click.Choice(["backend", "valve", "listener", "gate", "policy"]))
@click.argument("name")
@click.option(
    "--into",
    "parent",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="FOLDER",
    help="Parent of the new folder. Default: the current folder.",
)
def new(role: PluginRole, name: str, parent: Path) -> None:
    """Write a new plugin that works.

    The first argument is the role of the plugin. NAME is its kind in the configuration; for a
    backend it is also the scheme of its URLs. The folder wsgw-NAME gets a complete distribution:
    entry point, options, a small plugin to change, and tests. It passes its tests, ruff and mypy.

    Exit status: 0 written, 2 the name or the folder cannot be used.
    """
    from wsgw_core.plugins.loader import installed_plugins  # noqa: PLC0415 - slow
    from wsgw_core.process.log_output import tell  # noqa: PLC0415 - slow
    from wsgw_core.scaffold.distribution import write_distribution  # noqa: PLC0415 - slow
    from wsgw_core.scaffold.plugin_name import PluginName  # noqa: PLC0415 - slow

    plugin_name = PluginName.parse(name)
    for path in write_distribution(role, plugin_name, parent):
        click.echo(click.format_filename(path))
    for one in installed_plugins():
        if plugin_name.kind in one.names:
            tell(
                f"wsgw: WARNING: {one.distribution} {one.version} already provides"
                f" {plugin_name.kind!r}: a gateway cannot use it while both are installed"
            )
    folder = shlex.quote(click.format_filename(parent / plugin_name.distribution))
    tell(f"Next: cd {folder} && pip install -e '.[dev]' && pytest")
