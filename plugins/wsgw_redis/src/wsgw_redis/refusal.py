"""Classifies the errors of Redis."""

from __future__ import annotations

import logging
import re

from wsgw_core.api import RareWarning

from .metrics import RedisMetrics

_WORD = re.compile(r"[A-Z]{2,24}\b")

# Temporary: the server may take the command later.
_PASSING = frozenset(
    {
        *("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "OOM", "MISCONF", "BUSY"),
        *("CLUSTERDOWN", "TRYAGAIN"),
        "UNBLOCKED",  # a read waited while the master became a replica
    }
)
# Errors of one key; another key may work.
_OF_ONE_KEY = frozenset({"WRONGTYPE", "NOPERM"})
_OF_CLUSTERS = frozenset({"MOVED", "ASK", "CROSSSLOT"})


class Refusal:
    """An error reply of Redis.

    Args:
        text: the error without its leading `-`.

    Attributes:
        word: the first word, such as `OOM`; `ERR` if there is none.
        reason: one line for the log, without values of the command.
    """

    def __init__(self, text: str) -> None:
        found = _WORD.match(text)
        self.word = found[0] if found else "ERR"
        line = " ".join(text.split())[:200]
        if self.word in _OF_CLUSTERS:
            line = f"this is a cluster, which wsgw-redis does not support ({self.word})"
        elif self.word == "ERR":
            line = line.partition(", with args beginning with")[0]  # the rest quotes the command
        self.reason = f"Redis: {line}"

    @property
    def is_passing(self) -> bool:
        """Whether the server may take the same command later without an operator's help."""
        return self.word in _PASSING

    @property
    def is_of_one_key(self) -> bool:
        """Whether the error concerns only the command's key."""
        return self.word in _OF_ONE_KEY


class RefusalLog:
    """Counts error replies, and logs those that only an operator can repair, once a minute.

    Args:
        logger: the backend's.
        metrics: the backend's.
    """

    def __init__(self, logger: logging.Logger, metrics: RedisMetrics) -> None:
        self._refused = metrics.refused
        self._warning = RareWarning(logger)
        self._fault = RareWarning(logger)

    def take(self, command: str, reply: object) -> Refusal:
        """Counts an error reply, and logs it unless it passes without an operator's help.

        Args:
            command: what the log calls the command.
            reply: the error, without its leading `-`.
        """
        refusal = Refusal(str(reply))
        self._refused.labels(refusal.word).value += 1
        if not refusal.is_passing:
            self.note(command, refusal.reason)
        return refusal

    def note(self, command: str, reason: str) -> None:
        """Logs an error, at most once a minute.

        Args:
            command: the name of the command.
            reason: one line, without values.
        """
        self._warning("Redis refuses %s: %s", command, reason, level=logging.ERROR)

    def fault(self, what: str, error: Exception) -> None:
        """Logs a fault of the gateway, at most once a minute.

        Args:
            what: the event for the log.
            error: the fault.
        """
        self._fault("%s", what, level=logging.ERROR, exc_info=error)
