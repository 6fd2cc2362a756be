"""What an error of Redis means."""

from __future__ import annotations

import logging
import re

from wsgw_core.api import RareWarning

_WORD = re.compile(r"[A-Z]{2,24}\b")

# The server cannot take writes now, and may later.
_PASSING = frozenset(
    {
        *("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "OOM", "MISCONF", "BUSY"),
        *("CLUSTERDOWN", "TRYAGAIN"),
        "UNBLOCKED",  # of a read that waited while the master became a replica
    }
)
# What another key might not be refused.
_OF_ONE_KEY = frozenset({"WRONGTYPE", "NOPERM"})
_OF_CLUSTERS = frozenset({"MOVED", "ASK", "CROSSSLOT"})


class Refusal:
    """An error that Redis has answered a command with.

    Args:
        text: the error, without the `-` before it.

    Attributes:
        word: its first word, such as `OOM`; `ERR` where it has none.
        reason: one line, which holds no values of a command.
    """

    def __init__(self, text: str) -> None:
        found = _WORD.match(text)
        self.word = found[0] if found else "ERR"
        line = " ".join(text.split())[:200]
        if self.word in _OF_CLUSTERS:
            line = f"this is a cluster, which wsgw-redis does not speak to ({self.word})"
        elif self.word == "ERR":
            line = line.partition(", with args beginning with")[0]  # that quotes the command
        self.reason = f"Redis: {line}"

    @property
    def is_passing(self) -> bool:
        """Whether the server may take the same command later, with nobody doing anything."""
        return self.word in _PASSING

    @property
    def is_of_one_key(self) -> bool:
        """Whether it says something of the command's key alone."""
        return self.word in _OF_ONE_KEY


class RefusalLog:
    """Tells operators of refusals that only they can mend, once a minute.

    Args:
        logger: of the backend.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._warning = RareWarning(logger)
        self._fault = RareWarning(logger)

    def note(self, command: str, reason: str) -> None:
        """Logs an error, unless that was done in the last minute.

        Args:
            command: its name.
            reason: one line, without values.
        """
        self._warning("%s is refused: %s", command, reason, level=logging.ERROR)

    def fault(self, what: str, error: Exception) -> None:
        """Logs a fault of the gateway, unless that was done in the last minute.

        Args:
            what: has failed.
            error: why.
        """
        self._fault("%s", what, level=logging.ERROR, exc_info=error)
