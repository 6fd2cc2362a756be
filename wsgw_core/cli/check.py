"""`wsgw check`."""

from __future__ import annotations

from pathlib import Path

import click

from .config_option import config_option, load


@click.command()
@config_option
def check(file: Path | None) -> None:
    """Check the configuration and print what is in effect.

    Does not touch the network. What is printed is a configuration file itself, with passwords
    masked. Exit status: 0 good,
    2 not usable; stderr has a line for each problem.
    """
    config, components = load(file)

    from wsgw_core.effective_config import effective_config  # noqa: PLC0415 - slow

    click.echo(effective_config(config, components), nl=False)
