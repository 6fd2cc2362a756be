"""In which pieces bytes arrive."""

from __future__ import annotations


def split(data: bytes) -> list[bytes]:
    """Take the first byte for the size of the reads, over and over; 0: all in one."""
    size, data = data[0] if data else 0, data[1:]
    step = size or len(data) or 1
    return [data[start : start + step] for start in range(0, len(data), step)]
