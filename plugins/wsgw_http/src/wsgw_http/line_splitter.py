"""Splits bytes into lines of limited length."""

from __future__ import annotations

from .answers import too_large


class LineSplitter:
    """Returns the complete lines of bytes that arrive in pieces.

    Args:
        limit: maximum bytes of one line.
        any_end: whether a lone CR ends a line too; otherwise only LF and CRLF do.
    """

    def __init__(self, limit: int, *, any_end: bool) -> None:
        self._limit = limit
        self._any_end = any_end
        self._rest = bytearray()
        self._searched = 0  # bytes at the start of the rest, without an end of line
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the lines that end within `data`, without their ends.

        Raises:
            BadAnswer: a line is longer than the limit.
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
        """Returns the bytes after the last end of line."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest.removesuffix(b"\r")

    def _with_plain_ends(self, data: bytes) -> bytes:
        """Returns the data with LF for each end; a CR and its LF may come in two pieces."""
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
