"""`wsgw plugins`."""

from __future__ import annotations

import sys

import click


@click.command()
def plugins() -> None:
    """List the installed plugins, without importing them."""
    from wsgw_core.plugin_loader import installed_plugins  # noqa: PLC0415 - slow

    found = installed_plugins()
    if not found:
        click.echo("no plugins are installed", err=True)
        return
    head = ("KINDS AND SCHEMES", "DISTRIBUTION", "VERSION")
    rows = [(" ".join(one.names), one.distribution, one.version) for one in found]
    if sys.stdout.isatty():
        _print_table(head, rows)
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow
    from rich.table import Table  # noqa: PLC0415 - slow

    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
