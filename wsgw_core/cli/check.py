"""`wsgw check` and `wsgw schema`: is a configuration valid, and what is valid."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import click

from .config_option import CommandWithFile, config_option, load


@click.command(cls=CommandWithFile)
@config_option()
@click.option("--connect", is_flag=True, help="Also probe each backend.")
def check(file: Path | None, *, connect: bool) -> None:
    """Check the configuration and print the effective one.

    The output is itself a configuration file: it names the source of each value and masks
    passwords. Warnings about keys without effect and about doubtful values go to stderr. The
    command creates each valve, listener and gate once, but does not open it. Without --connect it
    does not touch the network.

    Exit status: 0 valid, 1 a backend cannot be reached, 2 invalid; stderr has a line for each
    problem.
    """
    gc.disable()  # nothing here becomes garbage that would have to be found
    loaded = load(file)

    from wsgw_core.api import ConfigurationError  # noqa: PLC0415 - slow
    from wsgw_core.loading.effective import effective_config  # noqa: PLC0415 - slow
    from wsgw_core.loading.references import option_warnings, without_effect  # noqa: PLC0415 - slow
    from wsgw_core.loading.trial import failing_factories  # noqa: PLC0415 - slow
    from wsgw_core.process.log_output import tell  # noqa: PLC0415 - slow

    if problems := failing_factories(loaded.specs, loaded.origins):
        raise ConfigurationError(problems)
    click.echo(effective_config(loaded), nl=False)
    for notes in (without_effect, option_warnings):
        for note in notes(loaded.config, loaded.specs, loaded.origins):
            tell(f"wsgw: {note}")
    if connect:
        from wsgw_core.pool.membership.backend_probe import probe_backends  # noqa: PLC0415 - slow

        answers = probe_backends(loaded.config, loaded.specs)
        for backend_id, reason in answers.items():
            said = f"cannot be reached: {reason}" if reason else "can be reached"
            tell(f"wsgw: backend {backend_id} {said}")
        sys.exit(1 if any(answers.values()) else 0)


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration.

    It contains the options of all installed plugins. The command imports them for that; it reports
    a plugin that cannot be imported on stderr and leaves it out. Editors use the schema to check
    and complete a file.
    """
    from wsgw_core.loading.schema import config_schema  # noqa: PLC0415 - slow
    from wsgw_core.plugins.loader import (  # noqa: PLC0415 - slow
        installed_plugins,
        load_usable_plugins,
    )
    from wsgw_core.process.log_output import tell  # noqa: PLC0415 - slow

    names = [name for plugin in installed_plugins() for name in plugin.names]
    plugins, problems = load_usable_plugins(names)
    for problem in problems:
        tell(f"wsgw: {problem}")
    click.echo(json.dumps(config_schema(plugins), indent=2, ensure_ascii=False))
