"""Clients with the same key get the same backend, in every gateway."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

from pydantic import Field

from ..api import Candidate, DialRequest, HandshakeField, Options

_VALUES = 1 << 64


class HashOptions(Options):
    """What clients must have in common to get the same backend."""

    key: HandshakeField = Field(
        default=HandshakeField("path"),
        description="what clients of one backend have in common: `path`, `path.N`, `query.NAME`,"
        " `header.NAME`, `cookie.NAME` or `peer`. A client without the key gets the backend with"
        " the fewest connections",
    )
    bound: float | None = Field(
        default=None,
        ge=1,
        description="maximum share of the connections of one backend, relative to its fair share:"
        " `1.25` allows a quarter more. Beyond it, clients get the next backend of their key."
        " None: clients of one key always get the same backend",
    )


class HashPolicy:
    """Weighted rendezvous hashing: each key has its own order of backends.

    The order depends only on the key and on the ids and weights of the backends. So a removed
    backend moves only its own keys, to others by weight; a new backend takes its share from all.

    Args:
        options: the checked options.
    """

    def __init__(self, options: HashOptions) -> None:
        self._key = options.key
        self._bound = options.bound

    def costs(self, client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        key = self._key.of(client)
        if key is None:
            return [each.load for each in backends]
        begun = blake2b(key.encode() + b"\0", digest_size=8)
        costs = [_cost(begun.copy(), each) for each in backends]
        if self._bound is None:
            return costs
        share = self._bound * (1 + sum(each.connections for each in backends))
        share /= sum(each.weight for each in backends)
        full = [each.connections >= math.ceil(share * each.weight) for each in backends]
        # Full backends come after all others, in the order of the key.
        return [
            cost + _MOST if is_full else cost for cost, is_full in zip(costs, full, strict=True)
        ]


_MOST = math.log(_VALUES)  # no cost is greater: a weight is at least 1


def _cost(begun: blake2b, backend: Candidate) -> float:
    """Returns an exponentially distributed number; its mean is the inverse of the weight.

    So each backend has the lowest cost as often as its weight says.
    """
    begun.update(backend.id.encode())
    uniform = (int.from_bytes(begun.digest()) + 1) / _VALUES  # above 0, at most 1
    return -math.log(uniform) / backend.weight
