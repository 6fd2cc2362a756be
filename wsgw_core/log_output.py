"""Where log records go: to stderr, one line for each event."""

from __future__ import annotations

import logging
import os
import sys

# What a client sends can end up in a record; it must not end the line or steer a terminal.
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\t")
} | {ord("\n"): "\\n", ord("\r"): "\\r"}
_LEVELS = {"WARN": "WARNING"}


class OneLineFormatter(logging.Formatter):
    """Formats a record as one line; line ends inside, as in a traceback, are shown escaped."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        return super().format(record).translate(_ESCAPES)


def set_up_logging(level: str) -> None:
    """Send all records of this level and above to stderr, and Python's warnings too.

    Args:
        level: as `server.logging-level` has it: DEBUG, INFO, WARN or ERROR.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter())
    logging.basicConfig(level=_LEVELS.get(level, level), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def debugging() -> bool:
    """Tell whether tracebacks of unexpected failures are wanted (`WSGW_DEBUG=1`)."""
    return os.environ.get("WSGW_DEBUG", "") not in ("", "0")
