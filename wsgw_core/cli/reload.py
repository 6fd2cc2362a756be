"""`wsgw reload`."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from .config_option import config_option, load


@click.command()
@config_option()
@click.argument("pid", type=click.IntRange(min=1))
def reload(file: Path | None, pid: int) -> None:
    """Have the running gateway PID read its configuration anew.

    The configuration is checked first, from FILE and this environment: if it cannot be used, the
    gateway is not asked to, and the exit status is 2. What came of it, the gateway tells in its
    log.
    """
    if not hasattr(signal, "SIGHUP"):
        raise click.UsageError("this system has no signal for it")
    load(file)
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise click.ClickException(f"process {pid}: {error.strerror}") from error
