"""A failing policy of a plugin does not keep a client from its backend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import pytest

from wsgw_core.api import Candidate, DialRequest, Metrics, Policy
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.policy.backend_group import BackendGroup
from wsgw_core.pool.policy.checked_policy import CheckedPolicy
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import on_virtual_clock


class Scripted:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    def costs(self, _client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        self.asked.append([each.id for each in backends])
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: Sequence[float] = self.answer
        return answer


def group_of(policy: Policy, *priorities: int) -> BackendGroup:
    backends = [
        PooledBackend(name, FakeBackend(name), priority=priority)
        for name, priority in zip("abc", priorities, strict=False)
    ]
    return BackendGroup(BackendPool(backends), "", policy)


def next_of(group: BackendGroup) -> str:
    turn = group.choose(0)
    assert turn is not None
    return turn.backend.id


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("lost"),
        [1.0],
        [1.0, 2.0, 3.0],
        repeat(1.0),
        [float("nan")] * 2,
        None,
        ["x", "y"],
        {},
    ],
)
@on_virtual_clock
async def test_backends_take_turns_when_the_policy_fails(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    faults = GatewayCounters(Metrics()).policy_faults
    logger = logging.getLogger("wsgw.test")
    group = group_of(CheckedPolicy(Scripted(answer), "zone", faults, logger), 1, 1)
    firsts = [next_of(group) for _ in range(3)]
    assert firsts == ["a", "b", "a"]
    assert faults.value == 3
    [record] = caplog.records  # once a minute
    assert "policy 'zone' raised an error" in record.getMessage()


def test_the_policy_gets_backends_of_one_priority_only() -> None:
    policy = Scripted([0.0])
    group = group_of(policy, 2, 1, 3)
    tried: list[PooledBackend] = []
    while (turn := group.choose(0, without=tried)) is not None:
        tried.append(turn.backend)
    assert policy.asked == [["b"], ["a"], ["c"]]
