"""`wsgw reload`."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import click

from ..process.reload_answer import expected_answer
from .config_option import config_option, load
from .values import DURATION, WholeNumber


@click.command()
@config_option()
@click.option(
    "--wait",
    "patience",
    type=DURATION,
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long to wait for what comes of it; 0: not at all.",
)
@click.argument("pid", type=WholeNumber(min=1))
def reload(file: Path | None, pid: int, patience: float) -> None:
    """Have the running gateway PID read its configuration anew.

    The configuration is checked first, from FILE and this environment: if it cannot be used, the
    gateway is not asked to, and the exit status is 2. What came of it is printed, as in the
    gateway's log. The exit status is 1 if nothing was changed, or if that cannot be known: the
    gateway has not told it in time, or another process listens in place of this command.
    """
    if not hasattr(signal, "SIGHUP"):
        raise click.UsageError("this system has no signal for it")
    load(file)
    if not _handles_hangup(pid):
        raise click.ClickException(f"process {pid}: is not a gateway, it does not handle SIGHUP")
    with expected_answer(pid) as expectation:
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as error:
            raise click.ClickException(f"process {pid}: {error.strerror}") from error
        answer = expectation.wait(patience)
    if answer is not None:
        for line in answer.lines:
            click.echo(f"reload: {line}", err=not answer.done)
        if not answer.done:
            raise click.exceptions.Exit(1)
    elif not patience:
        return
    elif expectation.obstacle:
        raise click.ClickException(
            f"process {pid}: was asked, but {expectation.obstacle} listens for its answer in place"
            " of this command; see its log"
        )
    elif not expectation.is_possible:
        click.echo(f"process {pid}: was asked; its log tells what comes of it", err=True)
    else:
        raise click.ClickException(
            f"process {pid}: was asked, and has not told what came of it; see its log"
        )


def _handles_hangup(pid: int) -> bool:
    """Tell whether a process handles SIGHUP, as a gateway does; if unknown, True."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    handled = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return handled is None or bool(int(handled[1], 16) >> (signal.SIGHUP - 1) & 1)
