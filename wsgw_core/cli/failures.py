"""What an error looks like on the command line."""

from __future__ import annotations

import traceback


def report(error: Exception) -> int:
    """Tell of an error on stderr, one line for each problem, and return the exit status.

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
