"""`wsgw run`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from wsgw_core.config.wsbalancer_variables import ALL_VARIABLES

from .config_option import CommandWithFile, config_option, load, read


class _WithVariables(CommandWithFile):
    """Lists the environment variables in its help, as wsbalancer does."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list; called by click."""
        with formatter.section("Environment variables"):
            formatter.write_dl(
                [
                    (
                        f"{variable.name} {variable.type}",
                        f"{variable.meaning}"
                        + (f" [{variable.default}]" if variable.default else ""),
                    )
                    for variable in ALL_VARIABLES
                ]
            )
        formatter.write_paragraph()
        formatter.write_text(
            "They override the file. The variables WSGW_... override both; every key of the file"
            " has one: failover.ping-timeout is WSGW_FAILOVER__PING_TIMEOUT, the url of the first"
            " backend is WSGW_UPSTREAM__BACKENDS__0__URL."
        )


@click.command(cls=_WithVariables)
@config_option()
@click.option("--watch", is_flag=True, help="Reload when FILE changes.")
def run(file: Path | None, *, watch: bool) -> None:
    """Run the gateway until a signal stops it.

    SIGINT or SIGTERM stops it; a second one ends it at once. SIGHUP makes it reload its
    configuration without closing a client. Exit status: 0 stopped, 1 failed, 2 the configuration
    is invalid.
    """
    if watch and file is None:
        raise click.UsageError("--watch needs a FILE")
    # Installed before anything slow, so that an early stop is clean.
    from wsgw_core.process.stop_signals import StopSignals  # noqa: PLC0415 - not needed for --help

    signals = StopSignals()
    gc.disable()  # a start leaves no garbage; `run_gateway` enables it
    try:
        signals.install()
        loaded = load(file)

        from wsgw_core.process.daemon import run_gateway  # noqa: PLC0415 - slow

        watched = file if watch else None
        sys.exit(run_gateway(loaded, signals, lambda: read(file), watched))
    except KeyboardInterrupt:
        sys.exit(0)  # stopped before there was anything to stop
