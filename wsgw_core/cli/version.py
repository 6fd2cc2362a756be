"""`wsgw version`."""

from __future__ import annotations

import click

from wsgw_core import __version__

_LIBRARIES = ("websockets", "uvloop")


@click.command()
def version() -> None:
    """Print the versions of the core, Python, libraries and plugins."""
    import platform  # noqa: PLC0415 - slow

    from wsgw_core.plugin_loader import installed_plugins  # noqa: PLC0415 - slow

    lines = [("wsgw-core", __version__), ("python", platform.python_version())]
    lines += [(name, _installed(name)) for name in _LIBRARIES]
    lines += sorted({(one.distribution, one.version) for one in installed_plugins()})
    for name, number in lines:
        click.echo(f"{name} {number}")


def _installed(name: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - slow

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
