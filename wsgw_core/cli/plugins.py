"""`wsgw plugins`."""

from __future__ import annotations

import click


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
