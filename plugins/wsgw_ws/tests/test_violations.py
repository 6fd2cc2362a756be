"""How a session ends whose backend broke the protocol or a limit, and how that is counted."""

from __future__ import annotations

import dataclasses

import pytest
from wsgw_ws.violations import Violations

from wsgw_core.api import Close, CloseCode, Limits, Metrics
from wsgw_core.testing.context import make_context

LIMITS = Limits(max_message_size=1000, max_fragments=7)


class Bench:
    """The violations of one backend, and what they count."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        context = dataclasses.replace(make_context(limits=LIMITS), metrics=self._metrics)
        self.violations = Violations(context)

    @property
    def counted(self) -> dict[str, int]:
        return {family.name: family.total for family in self._metrics}


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        (CloseCode.TOO_BIG, "limits.max-message-size (1000 bytes)"),
        (CloseCode.POLICY_VIOLATION, "limits.max-fragments (7)"),
    ],
)
async def test_message_beyond_a_limit_ends_the_session_and_is_counted(
    code: CloseCode, limit: str
) -> None:
    bench = Bench()
    end = bench.violations.end(Close(code, "too much"), closing=False)
    assert end == Close(1011, f"a message of the backend exceeds {limit}")
    assert bench.counted == {"violations": 1, "messages_too_big": 1}


@pytest.mark.parametrize(
    ("code", "closing"),
    [(CloseCode.PROTOCOL_ERROR, False), (CloseCode.TOO_BIG, True)],
)
async def test_breach_of_the_protocol_moves_the_session(code: CloseCode, *, closing: bool) -> None:
    """As does a message beyond a limit after the close, which matters no more."""
    bench = Bench()
    end = bench.violations.end(Close(code, "wrong"), closing=closing)
    assert end.reason == f"the backend broke the protocol: {code} wrong"
    assert end.abnormal
    assert end.breach
    assert bench.counted == {"violations": 1, "messages_too_big": 0}
