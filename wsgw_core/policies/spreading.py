"""Policies that spread clients: in turns, or by the connections that backends have."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from ..api import Candidate, DialRequest


class RoundRobin:
    """Gives all backends the same cost; the gateway then uses them in turns by weight."""

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        return [0.0] * len(backends)


class LeastConnections:
    """Prefers the backend with the fewest connections for its weight."""

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        return [each.load for each in backends]


class RandomTwo:
    """Picks two backends at random; prefers the one with fewer connections for its weight.

    So independent gateways do not all choose the same backend.

    Args:
        chance: the source of random numbers.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - no secret

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        picked = set(self._chance.sample(range(len(backends)), min(2, len(backends))))
        return [each.load if number in picked else math.inf for number, each in enumerate(backends)]
