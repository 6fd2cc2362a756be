"""Reads the head of an HTTP message (RFC 9112 section 2) from a stream, up to a maximum size."""

from __future__ import annotations

import re

_END = b"\r\n\r\n"
# CR and LF may only occur as the pair that ends a line; of the other controls only the tab may.
# The search skips to the first control character, and checks its neighbours only there.
_STRAY = re.compile(rb"[\0-\x08\n-\x1f\x7f](?:(?<=\r)(?=[^\n])|(?<=\n)(?<!\r\n)|(?<![\r\n]))")


class HeadTooLarge(ValueError):
    """The head is longer than allowed."""


class StrayByte(ValueError):
    """The head contains a bare CR or LF, NUL or another control character."""


class HeadReader:
    """Collects bytes until a head is complete; the cost does not depend on their portions.

    Args:
        max_size: maximum bytes of the head.
        strict: whether a stray control character raises StrayByte; else the parser deals with it.
    """

    __slots__ = ("_data", "_max_size", "_strict", "head")

    def __init__(self, max_size: int, *, strict: bool = False) -> None:
        self._max_size = max_size
        self._strict = strict
        self._data = bytearray()
        self.head: bytes | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Takes bytes; returns the head with its empty line once it is complete.

        `rest` has the bytes behind the head, from this call and later ones.

        Raises:
            HeadTooLarge: the head exceeds the maximum size.
            StrayByte: the head has a stray character, and the reader is strict.
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
        """The head, or the part of it that has come, within the maximum size."""
        return self.head if self.head is not None else bytes(self._data[: self._max_size])

    @property
    def rest_size(self) -> int:
        """The number of bytes behind the head."""
        return len(self._data) if self.head is not None else 0

    @property
    def rest(self) -> bytes:
        """The bytes behind the head."""
        return bytes(self._data) if self.head is not None else b""
