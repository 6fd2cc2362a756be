"""`wsgw version`."""

from __future__ import annotations

import click

from wsgw_core import __version__
from wsgw_core.plugins.entry_points import distribution_of

from .commands import added_commands

_LIBRARIES = ("websockets", "uvloop")


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
