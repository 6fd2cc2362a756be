"""Tells acknowledgements for this server from those for servers that are gone."""

from __future__ import annotations


class AckIds:
    """Numbers what servers want acknowledged, in one namespace of one session.

    Each server counts for itself. So that a client never sees a number twice, those of later
    servers are raised by an offset; what is below it means a server that is gone.
    """

    __slots__ = ("_next", "_offset")

    def __init__(self) -> None:
        self._offset = 0
        self._next = 0  # higher than all that the client has seen

    def to_client(self, id_: int) -> int:
        """Return the number for the client."""
        shown = id_ + self._offset
        self._next = max(self._next, shown + 1)
        return shown

    def to_server(self, shown: int) -> int | None:
        """Return the server's number; None: it is of a server that is gone."""
        return None if shown < self._offset else shown - self._offset

    def change_server(self) -> None:
        """Note that another server counts from now on."""
        self._offset = self._next
