"""Prefers backends of one zone."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from wsgw_core.api import Candidate, DialRequest, Options, PluginContext, Policy


class ZoneOptions(Options):
    """The options of the policy."""

    zone: str = Field(
        min_length=1, description="a backend whose id begins with it and a dash belongs to the zone"
    )
    detour: int = Field(
        default=50,
        ge=0,
        description="choose a backend of another zone when it has this many fewer connections,"
        " relative to its weight",
    )


class ZonePolicy:
    """Prefers the fewest connections; backends of other zones count as if they had more.

    Args:
        options: the policy's checked options.
        context: provides metrics, a logger and a clock.
    """

    def __init__(self, options: ZoneOptions, context: PluginContext) -> None:
        self._prefix = f"{options.zone}-"
        self._detour = options.detour

    def costs(self, client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        return [
            each.load + (0 if each.id.startswith(self._prefix) else self._detour)
            for each in backends
        ]


def _is_policy(policy: ZonePolicy) -> Policy:
    return policy  # checked by the type checker
