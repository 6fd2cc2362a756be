"""`wsgw reload`."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import click

from .config_option import config_option, load
from .values import DURATION, WholeNumber


@click.command()
@config_option()
@click.option(
    "--wait",
    "timeout",
    type=DURATION,
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="Maximum wait for the result; 0: do not wait.",
)
@click.argument("pid", type=WholeNumber(min=1))
def reload(file: Path | None, pid: int, timeout: float) -> None:
    """Make the running gateway with process id PID reload its configuration.

    The command first checks the configuration from FILE and this environment. If it is invalid,
    the command leaves the gateway alone and exits with status 2. Otherwise it prints the result
    that the gateway also logs. The exit status is 1 if the reload has failed, or if the result is
    unknown: the gateway did not report it in time, or another process received it.
    """
    from ..process.reload_answer import pending_answer  # noqa: PLC0415 - not needed for --help

    if not hasattr(signal, "SIGHUP"):
        raise click.UsageError("this system has no SIGHUP, which triggers a reload")
    load(file)
    if not _handles_hangup(pid):
        raise click.ClickException(f"process {pid}: not a gateway, it does not handle SIGHUP")
    with pending_answer(pid) as pending:
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as error:
            raise click.ClickException(f"process {pid}: {error.strerror}") from error
        answer = pending.wait(timeout)
    if answer is not None:
        for line in answer.lines:
            click.echo(f"reload: {line}", err=not answer.done)
        if not answer.done:
            raise click.exceptions.Exit(1)
    elif not timeout:
        return
    elif pending.obstacle:
        raise click.ClickException(
            f"process {pid}: signalled, but {pending.obstacle} receives the result instead of"
            " this command; see the log of the gateway"
        )
    elif not pending.is_possible:
        click.echo(f"process {pid}: signalled; see its log for the result", err=True)
    else:
        raise click.ClickException(
            f"process {pid}: signalled, but it has reported no result in time; see its log"
        )


def _handles_hangup(pid: int) -> bool:
    """Returns whether a process handles SIGHUP, as a gateway does; if unknown, True."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    handled = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return handled is None or bool(int(handled[1], 16) >> (signal.SIGHUP - 1) & 1)
