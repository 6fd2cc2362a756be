"""Splits bytes into lines of a bounded length."""

from __future__ import annotations

from .answers import too_large


class LineSplitter:
    """Takes bytes as they come and returns the lines that are complete.

    Args:
        limit: bytes of one line.
        any_end: whether a lone CR ends a line too; else LF does, with or without a CR before it.
    """

    def __init__(self, limit: int, *, any_end: bool) -> None:
        self._limit = limit
        self._any_end = any_end
        self._rest = bytearray()
        self._searched = 0  # bytes of the rest that have no end of a line
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that end in some bytes, without their ends.

        Raises:
            BadAnswer: a line is too long.
        """
        if self._any_end:
            data = self._with_plain_ends(data)
        self._rest += data
        if self._rest.find(b"\n", self._searched) < 0:
            self._searched = len(self._rest)
            lines = []
        else:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
            self._searched = len(rest)
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise too_large(self._limit)
        return [line.removesuffix(b"\r") for line in lines]

    def finish(self) -> bytes:
        """Return what came after the last end of a line."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest.removesuffix(b"\r")

    def _with_plain_ends(self, data: bytes) -> bytes:
        """Return data whose lines all end with LF; a CR may be the first half of an end."""
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
