"""`wsgw reload`."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import click

from .config_option import config_option, load
from .values import WholeNumber


@click.command()
@config_option()
@click.argument("pid", type=WholeNumber(min=1))
def reload(file: Path | None, pid: int) -> None:
    """Have the running gateway PID read its configuration anew.

    The configuration is checked first, from FILE and this environment: if it cannot be used, the
    gateway is not asked to, and the exit status is 2. What came of it, the gateway tells in its
    log.
    """
    if not hasattr(signal, "SIGHUP"):
        raise click.UsageError("this system has no signal for it")
    load(file)
    if not _handles_hangup(pid):
        raise click.ClickException(f"process {pid}: is not a gateway, it does not handle SIGHUP")
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise click.ClickException(f"process {pid}: {error.strerror}") from error


def _handles_hangup(pid: int) -> bool:
    """Tell whether a process handles SIGHUP, as a gateway does; if unknown, True."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    handled = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return handled is None or bool(int(handled[1], 16) >> (signal.SIGHUP - 1) & 1)
