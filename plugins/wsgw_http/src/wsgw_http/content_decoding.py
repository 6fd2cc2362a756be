"""Decodes the Content-Encoding of answers in pieces of limited size."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .failures import BadAnswer

_PIECE = 64 * 1024
_MOST_BARREN = 64 * 1024  # encoded bytes in a row that decode to nothing
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Decoder:
    """Decodes the body of one answer.

    Args:
        coding: the answer's Content-Encoding; empty or `identity`: not encoded.

    Raises:
        BadAnswer: the coding is not supported.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        self._inflate: zlib._Decompress | None = None
        self._barren = 0
        if self._coding in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(_GZIP)
        elif self._coding not in ("", "identity", "deflate"):
            raise BadAnswer("its Content-Encoding is not supported; send gzip, deflate or identity")

    @property
    def is_needed(self) -> bool:
        """Whether the body is encoded."""
        return self._coding not in ("", "identity")

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yields the decoded content of some bytes in pieces of at most 64 KiB.

        Raises:
            BadAnswer: the bytes are not valid in this coding.
        """
        if self._inflate is None:
            # `deflate` is zlib's format; some servers omit its header (RFC 9110 section 8.4.1.2)
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
        """Checks at the end of the body that the content is complete.

        Raises:
            BadAnswer: it is not.
        """
        if self._inflate is None or not self._inflate.eof:
            raise BadAnswer("its encoded content ends too early")
