"""The command `wsgw` and its subcommands."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import traceback

import click

from wsgw_core import __version__

from ..process.standard_descriptors import open_standard_descriptors
from .check import check, schema
from .commands import Commands
from .new import new
from .plugins import plugins, version
from .reload import reload
from .run import run


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsgw", message="%(prog)s %(version)s")
def wsgw() -> None:
    """A websocket gateway that keeps its clients connected when a backend fails."""


for _command in (run, reload, check, schema, plugins, new, version):
    wsgw.add_command(_command)


def main() -> None:
    """Runs the command with the process's arguments; ends with SystemExit."""
    open_standard_descriptors()
    # A fifth of a short command otherwise: the interpreter would take all modules apart at its end.
    atexit.register(gc.freeze)
    try:
        wsgw(prog_name="wsgw")
    except Exception as error:  # noqa: BLE001 - prints every error
        status = _report(error)
        _drop_output()
        sys.exit(status)


def _report(error: Exception) -> int:
    """Prints an error on stderr, one line for each problem; returns the exit status.

    `WSGW_DEBUG=1` adds the traceback.
    """
    from wsgw_core.api import ConfigurationError  # noqa: PLC0415 - not needed for --help
    from wsgw_core.masking import masked_text  # noqa: PLC0415 - not needed for --help
    from wsgw_core.process.log_output import debugging, tell  # noqa: PLC0415 - not needed for --help

    if debugging():
        traceback.print_exception(error)
    if isinstance(error, ConfigurationError):
        tell(*(f"wsgw: {problem}" for problem in error.problems))
        return 2
    text = masked_text(" ".join(str(error).split()))
    tell(f"wsgw: unexpected {type(error).__name__}: {text} (WSGW_DEBUG=1 shows more)")
    return 1


def _drop_output() -> None:
    """Discards output that cannot be written; otherwise the interpreter changes the exit status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
