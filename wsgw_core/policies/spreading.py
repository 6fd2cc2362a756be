"""Policies that spread clients: in turns, or by the connections that backends have."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from ..api import Candidate, DialRequest


class RoundRobin:
    """All are equally good; the gateway lets them take turns as their weights say."""

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        return [0.0] * len(backends)


class LeastConnections:
    """The one with the fewest connections for its weight."""

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        return [each.load for each in backends]


class RandomTwo:
    """Of two that chance picks, the one with fewer connections for its weight.

    Several gateways that know nothing of each other do not all run to the same backend.

    Args:
        chance: picks them.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - no secret

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        picked = set(self._chance.sample(range(len(backends)), min(2, len(backends))))
        return [each.load if number in picked else math.inf for number, each in enumerate(backends)]
