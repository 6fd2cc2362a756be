"""`wsgw run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .config_option import config_option, load


@click.command()
@config_option
def run(file: Path | None) -> None:
    """Run the gateway until it is told to stop.

    SIGINT or SIGTERM stop it, a second one ends it at once. Exit status: 0 stopped, 1 failed,
    2 the configuration cannot be used.
    """
    # Before anything slow, so that a supervisor that changes its mind gets a clean exit.
    from wsgw_core.stop_signals import StopSignals  # noqa: PLC0415 - not needed for --help

    signals = StopSignals()
    try:
        signals.install()
        config, components = load(file)

        from wsgw_core.daemon import run_gateway  # noqa: PLC0415 - slow

        sys.exit(run_gateway(config, components, signals))
    except KeyboardInterrupt:
        sys.exit(0)  # stopped before there was anything to stop
