"""The built-in policies; see `wsgw_core.api.Policy`.

spreading   round-robin, least-connections, random-two
hashing     hash: clients with the same key get the same backend
"""

from __future__ import annotations

from ..api import Options, PluginContext, Policy, PolicyRegistry
from ..api.registry import PolicyFactory
from .hashing import HashOptions, HashPolicy
from .spreading import LeastConnections, RandomTwo, RoundRobin

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
    """Registers the built-in policies, as a plugin does."""
    registry.add("round-robin", PlainOptions, _plain(RoundRobin))
    registry.add("least-connections", PlainOptions, _plain(LeastConnections))
    registry.add("random-two", PlainOptions, _plain(RandomTwo))
    registry.add("hash", HashOptions, lambda options, _context: HashPolicy(options))


def _plain(make: type[RoundRobin | LeastConnections | RandomTwo]) -> PolicyFactory:
    def factory(_options: PlainOptions, _context: PluginContext) -> Policy:
        return make()

    return factory
