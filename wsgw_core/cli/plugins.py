"""`wsgw plugins` and `wsgw version`: what is installed."""

from __future__ import annotations

import click

from wsgw_core import __version__
from wsgw_core.plugins.entry_points import distribution_of

from .commands import added_commands

_LIBRARIES = ("websockets", "uvloop")


@click.command()
def plugins() -> None:
    """List the installed plugins; imports none of them."""
    from wsgw_core.plugins.loader import installed_plugins  # noqa: PLC0415 - slow

    found = installed_plugins()
    if not found:
        click.echo("no plugins are installed", err=True)
        return
    head = ("KINDS AND SCHEMES", "DISTRIBUTION", "VERSION")
    rows = [(" ".join(one.names), one.distribution, one.version) for one in found]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@click.command()
def version() -> None:
    """Print the versions of the core, Python, libraries and plugins."""
    import platform  # noqa: PLC0415 - slow

    from wsgw_core.plugins.loader import installed_plugins  # noqa: PLC0415 - slow

    lines = [("wsgw-core", __version__), ("python", platform.python_version())]
    lines += [(name, _installed(name)) for name in _LIBRARIES]
    commands = (one for found in added_commands().values() for one in found)
    lines += sorted(
        {(one.distribution, one.version) for one in installed_plugins()}
        | set(map(distribution_of, commands))
    )
    for name, number in lines:
        click.echo(f"{name} {number}")


def _installed(name: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - slow

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
