"""Lets backends take turns when the policy of a plugin fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from itertools import islice

from ...api import Candidate, Counter, DialRequest, Policy
from ...api.rare_warning import RareWarning


class CheckedPolicy:
    """A policy that returns equal costs whenever the plugin's policy fails.

    Args:
        policy: the plugin's policy.
        kind: the policy's kind, for the log.
        faults: counts its failures.
        logger: logs its failures.
    """

    def __init__(self, policy: Policy, kind: str, faults: Counter, logger: logging.Logger) -> None:
        self._policy = policy
        self._kind = kind
        self._faults = faults
        self._warn = RareWarning(logger)

    def costs(self, client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """See Policy."""
        try:
            answer = self._policy.costs(client, backends)  # may be an endless iterator
            costs = [float(cost) for cost in islice(answer, len(backends) + 1)]
            _check(costs, backends)
        except Exception as error:  # noqa: BLE001 - the code of a plugin
            self._faults.value += 1
            self._warn(
                "policy %r raised an error, so backends take turns: %r",
                self._kind,
                error,
                level=logging.ERROR,
                exc_info=error,
            )
            return [0.0] * len(backends)
        return costs


def _check(costs: list[float], backends: Sequence[Candidate]) -> None:
    if len(costs) != len(backends):
        found = len(costs) if len(costs) < len(backends) else "more"
        raise ValueError(f"returned {found} costs for {len(backends)} backends")
    if any(map(math.isnan, costs)):
        raise ValueError("returned a cost that is not a number")
