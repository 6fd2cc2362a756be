"""Logs what the plugin of one backend reports."""

from __future__ import annotations

import logging
from typing import Self


class BackendLogger(logging.Logger):
    """A logger that is freed with its backend.

    `logging.getLogger` never frees a logger, and DNS and operators may add ever new backends.

    Args:
        parent: gets all records; its level applies.
        backend_id: the field `backend` of each record.
        name: `backend.ID` below the parent's by default.
    """

    def __init__(self, parent: logging.Logger, backend_id: str, name: str = "") -> None:
        super().__init__(name or f"{parent.name}.backend.{backend_id}")
        self.parent: logging.Logger = parent
        self._backend_id = backend_id

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name in the base class
        """Asks the parent: the base class would remember an answer that may change."""
        return self.parent.isEnabledFor(level)

    def getChild(self, suffix: str) -> Self:  # noqa: N802 - the name in the base class
        """Returns a logger that is freed like this one."""
        return type(self)(self, self._backend_id, f"{self.name}.{suffix}")

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the field; the base class calls this for each record."""
        vars(record).setdefault("backend", self._backend_id)
        return super().filter(record)
