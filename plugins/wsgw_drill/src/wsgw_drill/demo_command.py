"""`wsgw demo`."""

from __future__ import annotations

import sys

import click


@click.command()
def demo() -> None:
    """Show two backends die while a client goes on.

    Takes about ten seconds and listens on 127.0.0.1 only. Exit status 0: nothing was lost and the
    client noticed nothing.
    """
    from .demo.show import show  # noqa: PLC0415 - slow

    sys.exit(show())
