"""Where log records go: to stderr, one line for each event."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from .masking import masked_text

# What a client sends can end up in a record; it must not end the line or steer a terminal.
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\t")
} | {ord("\n"): "\\n", ord("\r"): "\\r"}
_LEVELS = {"WARN": "WARNING"}
_ALWAYS_WRITTEN = ("wsgw.audit", "wsgw.lifecycle")
_FIELDS = ("session", "route", "backend", "reason")  # given as `extra` by whoever logs


class OneLineFormatter(logging.Formatter):
    """Formats a record as one line; line ends inside, as in a traceback, are shown escaped."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        return masked_text(super().format(record)).translate(_ESCAPES)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line.

    Its keys: `time` (RFC 3339, UTC), `level`, `logger`, `event`; where they are known `session`,
    `route`, `backend` and `reason`; after a fault `exception`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": "WARN" if record.levelname == "WARNING" else record.levelname,
            "logger": record.name,
            "event": masked_text(record.getMessage()),
        }
        for field in _FIELDS:
            value = getattr(record, field, None) or _subject(record, field)
            if value is not None:
                line[field] = masked_text(str(value))
        if record.exc_info:
            line["exception"] = masked_text(self.formatException(record.exc_info))
        return json.dumps(line)


def _subject(record: logging.LogRecord, field: str) -> object:
    """Return what a record such as `backend %s: has joined` is about, None if something else."""
    if isinstance(record.args, tuple) and record.args and record.msg.startswith(f"{field} %s"):
        return record.args[0]
    return None


def set_up_logging(level: str, layout: str = "console") -> None:
    """Send all records of this level and above to stderr, and Python's warnings too.

    The audit log, and what the process tells of its own start, are not silenced by the level.

    Args:
        level: as `server.logging-level` has it: DEBUG, INFO, WARN or ERROR.
        layout: as `server.logging-format` has it: console or json.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if layout == "json" else OneLineFormatter())
    logging.basicConfig(level=_LEVELS.get(level, level), handlers=[handler], force=True)
    for name in _ALWAYS_WRITTEN:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def writes_json() -> bool:
    """Tell whether records are written as JSON."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.root.handlers)


def debugging() -> bool:
    """Tell whether tracebacks of unexpected failures are wanted (`WSGW_DEBUG=1`)."""
    return os.environ.get("WSGW_DEBUG", "") not in ("", "0")
