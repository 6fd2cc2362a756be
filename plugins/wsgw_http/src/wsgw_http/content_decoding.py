"""Undoes the Content-Encoding of answers, a bounded piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .failures import BadAnswer

_PIECE = 64 * 1024
_MOST_BARREN = 64 * 1024  # bytes of which nothing comes
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Decoder:
    """Undoes one coding.

    Args:
        coding: the answer's Content-Encoding; empty and `identity` for none.

    Raises:
        BadAnswer: it is not known.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        self._inflate: zlib._Decompress | None = None
        self._barren = 0
        if self._coding in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(_GZIP)
        elif self._coding not in ("", "identity", "deflate"):
            raise BadAnswer("its Content-Encoding is not known")

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to undo."""
        return self._coding not in ("", "identity")

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what some received bytes stand for, in pieces of at most 64 KiB.

        Raises:
            BadAnswer: they are not encoded as they should be.
        """
        if self._inflate is None:
            # `deflate` is zlib's format; some send it without the head (RFC 9110 section 8.4.1.2)
            has_head = data[:1] and data[0] & 0x0F == 8
            self._inflate = zlib.decompressobj(_ZLIB if has_head else _RAW)
        try:
            while data:
                if self._inflate.eof:
                    raise BadAnswer("it goes on after the end of its encoded content")
                piece = self._inflate.decompress(data, _PIECE)
                left = self._inflate.unconsumed_tail or self._inflate.unused_data
                self._barren = 0 if piece else self._barren + len(data) - len(left)
                if self._barren > _MOST_BARREN:
                    raise BadAnswer("its encoded content is empty")
                yield piece
                data = left
        except zlib.error as error:
            raise BadAnswer(f"it cannot be decoded: {error}") from error

    def finish(self) -> None:
        """Check that nothing is missing.

        Raises:
            BadAnswer: the end is.
        """
        if self._inflate is None or not self._inflate.eof:
            raise BadAnswer("its encoded content ends too early")
