"""Counts messages by size, to and from a backend."""

from __future__ import annotations

from collections import Counter

_STEP = 128  # bytes; see `Sizes.counts`
_EXACT = 512  # steps, that is up to 64 KiB


class Sizes:
    """The messages of one direction.

    The relay counts each message inline, which is faster than a call:

        try:
            counts[size + 127 >> 7] += 1
        except IndexError:
            sizes.add_large(size)

    Attributes:
        counts: index n counts messages above 128 * (n - 1) and up to 128 * n bytes.
        large: larger messages, by the exponent of the next power of two.
        bytes: the bytes of all messages; `Session.count_traffic` adds them from time to time.
    """

    __slots__ = ("bytes", "counts", "large")

    def __init__(self) -> None:
        self.counts = [0] * (_EXACT + 1)
        self.large: Counter[int] = Counter()
        self.bytes = 0

    def add_large(self, size: int) -> None:
        """Counts a message that is too large for `counts`."""
        self.large[(size - 1).bit_length()] += 1

    def add(self, other: Sizes) -> None:
        """Adds the counts of another object."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.large += other.large
        self.bytes += other.bytes

    @property
    def messages(self) -> int:
        """The number of messages."""
        return sum(self.counts) + self.large.total()

    def up_to(self, bound: int) -> int:
        """Returns the number of messages up to a size.

        Args:
            bound: a multiple of 128 up to 64 KiB, a power of two above.
        """
        if bound <= _STEP * _EXACT:
            return sum(self.counts[: bound // _STEP + 1])
        exponent = bound.bit_length() - 1
        return sum(self.counts) + sum(
            count for power, count in self.large.items() if power <= exponent
        )


class Traffic:
    """The messages of one backend in both directions.

    Attributes:
        to_backend, to_client: the messages; replayed messages count once.
        sessions: the number of sessions that began at this backend.
    """

    __slots__ = ("sessions", "to_backend", "to_client")

    def __init__(self) -> None:
        self.to_backend = Sizes()
        self.to_client = Sizes()
        self.sessions = 0

    def add(self, other: Traffic) -> None:
        """Adds the counts of another object."""
        self.to_backend.add(other.to_backend)
        self.to_client.add(other.to_client)
        self.sessions += other.sessions
