"""Distinguishes acknowledgements for this server from those for lost servers."""

from __future__ import annotations


class AckIds:
    """The acknowledgement ids of servers in one namespace of one session.

    Each server counts from 0. The ids of later servers get an offset, so that a client never sees
    the same id twice. An id below the offset belongs to a lost server.
    """

    __slots__ = ("_next", "_offset")

    def __init__(self) -> None:
        self._offset = 0
        self._next = 0  # greater than all ids that the client has seen

    def to_client(self, id_: int) -> int:
        """Returns the id for the client."""
        shown = id_ + self._offset
        self._next = max(self._next, shown + 1)
        return shown

    def to_server(self, shown: int) -> int | None:
        """Returns the id for the server; None: it belongs to a lost server."""
        return None if shown < self._offset else shown - self._offset

    def change_server(self) -> None:
        """Called when another server serves from now on."""
        self._offset = self._next
