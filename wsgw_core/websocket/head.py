"""Reads the head of an HTTP message (RFC 9112 section 2) from a stream, within bounds."""

from __future__ import annotations

import re

_END = b"\r\n\r\n"
# CR and LF only as the pair that ends a line; of the other controls the tab alone.
# The search skips to the first control character, and looks around only there.
_STRAY = re.compile(rb"[\0-\x08\n-\x1f\x7f](?:(?<=\r)(?=[^\n])|(?<=\n)(?<!\r\n)|(?<![\r\n]))")


class HeadTooLarge(ValueError):
    """The head is longer than allowed."""


class StrayByte(ValueError):
    """A bare CR or LF, NUL or another control character stands in the head."""


class HeadReader:
    """Collects bytes until a head is complete; costs no more when they come one by one.

    Args:
        max_size: bytes that the head may have.
        strict: whether a stray control character ends the reading, rather than the parser's.
    """

    __slots__ = ("_data", "_max_size", "_strict", "head")

    def __init__(self, max_size: int, *, strict: bool = False) -> None:
        self._max_size = max_size
        self._strict = strict
        self._data = bytearray()
        self.head: bytes | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Takes bytes; returns the head, its empty line included, once it is complete.

        Bytes behind the head, from this call and later ones, are in `rest`.

        Raises:
            HeadTooLarge: the bound is passed.
            StrayByte: there is one, and the reader is strict.
        """
        searched = max(0, len(self._data) - len(_END) + 1)
        self._data += data
        if self.head is not None:
            return self.head
        end = self._data.find(_END, searched)
        size = len(self._data) if end < 0 else end + len(_END)
        if self._strict and _STRAY.search(self._data, searched, min(size, self._max_size)):
            raise StrayByte("stray control character")
        if size > self._max_size:
            raise HeadTooLarge(f"head longer than {self._max_size} bytes")
        if end >= 0:
            self.head = bytes(self._data[:size])
            del self._data[:size]
        return self.head

    @property
    def so_far(self) -> bytes:
        """The head, or what has come of it within the bound."""
        return self.head if self.head is not None else bytes(self._data[: self._max_size])

    @property
    def rest_size(self) -> int:
        """How many bytes came behind the head."""
        return len(self._data) if self.head is not None else 0

    @property
    def rest(self) -> bytes:
        """What came behind the head."""
        return bytes(self._data) if self.head is not None else b""
