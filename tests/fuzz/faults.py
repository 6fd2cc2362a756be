"""Detects faults of our own code that only the log shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.errors.append(self.format(record))


@contextmanager
def no_faults() -> Iterator[None]:
    """Fails if an error is logged within the block, by the event loop or by wsgw.

    Raises:
        AssertionError: one was.
    """
    collector, root = _Collector(), logging.getLogger()
    root.addHandler(collector)
    try:
        yield
    finally:
        root.removeHandler(collector)
    assert not collector.errors, "\n".join(collector.errors)
