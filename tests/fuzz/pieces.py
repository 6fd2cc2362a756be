"""The pieces in which bytes arrive."""

from __future__ import annotations


def split(data: bytes) -> list[bytes]:
    """Splits the bytes after the first one into reads of the size that it gives; 0: one read."""
    size, data = data[0] if data else 0, data[1:]
    step = size or len(data) or 1
    return [data[start : start + step] for start in range(0, len(data), step)]
