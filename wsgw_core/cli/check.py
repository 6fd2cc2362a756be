"""`wsgw check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .config_option import CommandWithFile, config_option, load


@click.command(cls=CommandWithFile)
@config_option()
@click.option("--connect", is_flag=True, help="Probe each backend too.")
def check(file: Path | None, *, connect: bool) -> None:
    """Check the configuration and print what is in effect.

    What is printed is a configuration file itself, with the source of each value behind it and with
    passwords masked. Keys that have no effect, or hardly the one that was meant, are told on
    stderr. Each valve, listener and gate is made once, but not opened. Without --connect the
    network is not touched.

    Exit status: 0 good, 1 a backend cannot be reached, 2 not usable; stderr has a line for each
    problem.
    """
    loaded = load(file)

    from wsgw_core.api import ConfigurationError  # noqa: PLC0415 - slow
    from wsgw_core.loading.effective import effective_config  # noqa: PLC0415 - slow
    from wsgw_core.loading.references import option_warnings, without_effect  # noqa: PLC0415 - slow
    from wsgw_core.loading.trial import failing_factories  # noqa: PLC0415 - slow
    from wsgw_core.process.log_output import tell  # noqa: PLC0415 - slow

    if problems := failing_factories(loaded.components, loaded.origins):
        raise ConfigurationError(problems)
    click.echo(effective_config(loaded), nl=False)
    for notes in (without_effect, option_warnings):
        for note in notes(loaded.config, loaded.components, loaded.origins):
            tell(f"wsgw: {note}")
    if connect:
        from wsgw_core.pool.membership.backend_probe import probe_backends  # noqa: PLC0415 - slow

        answers = probe_backends(loaded.config, loaded.components)
        for backend_id, reason in answers.items():
            said = f"cannot be reached: {reason}" if reason else "can be reached"
            tell(f"wsgw: backend {backend_id} {said}")
        sys.exit(1 if any(answers.values()) else 0)
