"""How many messages of which sizes went to a backend and came from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_STEP = 128  # bytes; see `Sizes.counts`
_EXACT = 512  # steps, that is up to 64 KiB


class Sizes:
    """The messages of one direction.

    Whoever relays a message adds it in place, for it is done for each one:

        try:
            counts[size + 127 >> 7] += 1
        except IndexError:
            sizes.add_large(size)

    Attributes:
        counts: at index n the messages of up to 128 * n bytes that are in no smaller one.
        large: longer ones, by the exponent of the power of two that they do not exceed.
        bytes: of all messages; added now and then, by `Session.count_traffic`.
    """

    __slots__ = ("bytes", "counts", "large")

    def __init__(self) -> None:
        self.counts = [0] * (_EXACT + 1)
        self.large: Counter[int] = Counter()
        self.bytes = 0

    def add_large(self, size: int) -> None:
        """Counts a message that is longer than `counts` has room for."""
        self.large[(size - 1).bit_length()] += 1

    def add(self, other: Sizes) -> None:
        """Adds all that another one has counted."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.large += other.large
        self.bytes += other.bytes

    @property
    def messages(self) -> int:
        """How many messages there were."""
        return sum(self.counts) + self.large.total()

    def up_to(self, bounds: Iterable[int]) -> list[int]:
        """Returns for each bound how many messages were not longer.

        Args:
            bounds: multiples of 128 up to 64 KiB, powers of two above.
        """
        return [self._up_to(bound) for bound in bounds]

    def _up_to(self, bound: int) -> int:
        if bound <= _STEP * _EXACT:
            return sum(self.counts[: bound // _STEP + 1])
        exponent = bound.bit_length() - 1
        return sum(self.counts) + sum(
            count for power, count in self.large.items() if power <= exponent
        )


class Traffic:
    """Both directions of one backend.

    Attributes:
        to_backend, to_client: the messages; replayed ones are counted once.
        sessions: how many began here.
    """

    __slots__ = ("sessions", "to_backend", "to_client")

    def __init__(self) -> None:
        self.to_backend = Sizes()
        self.to_client = Sizes()
        self.sessions = 0

    def add(self, other: Traffic) -> None:
        """Adds all that another one has counted."""
        self.to_backend.add(other.to_backend)
        self.to_client.add(other.to_client)
        self.sessions += other.sessions
