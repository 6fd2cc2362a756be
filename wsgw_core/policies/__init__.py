"""The policies that the gateway has without a plugin; see `wsgw_core.api.Policy`.

turns          round-robin: each in its turn
connections    least-connections; random-two: the better one of two that chance picks
hashing        hash: clients of one key get the same backend
"""

from __future__ import annotations

from ..api import Options, PluginContext, Policy, PolicyRegistry
from ..api.registry import PolicyFactory
from .connections import LeastConnections, RandomTwo
from .hashing import HashOptions, HashPolicy
from .turns import RoundRobin

__all__ = [
    "HashOptions",
    "HashPolicy",
    "LeastConnections",
    "PlainOptions",
    "RandomTwo",
    "RoundRobin",
    "register_policies",
]


class PlainOptions(Options):
    """A policy without options."""


def register_policies(registry: PolicyRegistry) -> None:
    """Register all of them, as a plugin does."""
    registry.add("round-robin", PlainOptions, _plain(RoundRobin))
    registry.add("least-connections", PlainOptions, _plain(LeastConnections))
    registry.add("random-two", PlainOptions, _plain(RandomTwo))
    registry.add("hash", HashOptions, lambda options, _context: HashPolicy(options))


def _plain(make: type[RoundRobin | LeastConnections | RandomTwo]) -> PolicyFactory:
    def factory(_options: PlainOptions, _context: PluginContext) -> Policy:
        return make()

    return factory
