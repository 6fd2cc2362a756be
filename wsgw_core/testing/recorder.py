"""Writes the log of a backend that the drill plays; see PlayedBackend."""

from __future__ import annotations

import os

from .numbered_message import head_of, is_whole
from .recording_log import Log


class Recorder:
    """Writes the log of one life of a played backend.

    Args:
        place: the process's first argument.
        log: its fourth.
    """

    def __init__(self, place: str, log: str) -> None:
        self._place = place
        self._log = Log(log)

    def opened(self, session: str, replayed: int = -1) -> None:
        """Records that a session begins here.

        Args:
            session: the session's id.
            replayed: how many of its first messages an earlier backend may have had; -1: the
                session does not come from another backend.
        """
        self._log.write("open", _connection(session), number=replayed)

    def closed(self, session: str) -> None:
        """Records that a session is over."""
        self._log.write("close", _connection(session))

    def read(self, session: str, message: str | bytes, *, again: bool = False) -> str | None:
        """Records that the application has read a message; call it once for each reading.

        Args:
            session: the session's id.
            message: the message, text as str and binary as bytes.
            again: whether the message says that an earlier attempt or backend may have had it.

        Returns:
            The answer to send to the client as text; None: no client has sent this message.
        """
        connection = _connection(session)
        if not is_whole(message):
            self._log.write("corrupt", connection)
            return None
        client, number = head_of(message)
        self._log.write("stack", connection, client, number)
        self._log.write("again" if again else "read", connection, client, number)
        return f"{client} {number} {self._place} {connection}"


def _connection(session: str) -> str:
    return f"{os.getpid()}-{session}"
