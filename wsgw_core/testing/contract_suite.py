"""Turns the coroutines of a contract suite into tests that need no plugin of the test runner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import pytest

from wsgw_core.api import Limits

from .backend_harness import BackendHarness, Capabilities
from .contract_bench import Bench


class ContractSuite:
    """What the decorator `contract_test` needs of the class whose tests it makes.

    Attributes:
        capabilities: what the kind and its harness can do.
        loop_factory: makes the event loop of each test, `uvloop.new_event_loop` for example.
        patience: seconds after which waiting fails; generous, since it ends only failing tests.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    loop_factory: ClassVar[Callable[[], asyncio.AbstractEventLoop] | None] = None
    patience: ClassVar[float] = 20.0


Scenario = Callable[[Any, Bench], Coroutine[Any, Any, None]]
Test = Callable[[Any, BackendHarness], None]


def contract_test(*needs: str, limits: Limits | None = None) -> Callable[[Scenario], Test]:
    """Make a test of a coroutine that is given a running Bench.

    Args:
        needs: capabilities without which the test is skipped.
        limits: what the backend is made with.
    """

    def decorate(scenario: Scenario) -> Test:
        def test(self: ContractSuite, harness: BackendHarness) -> None:
            suite = type(self)  # by the class: a function in `loop_factory` is not a method
            for need in needs:
                if not getattr(suite.capabilities, need):
                    pytest.skip(f"the kind does not declare the capability {need!r}")

            async def run() -> None:
                bench = Bench(harness, suite.capabilities, limits or Limits(), suite.patience)
                async with bench.running():
                    await scenario(self, bench)

            with asyncio.Runner(loop_factory=suite.loop_factory) as runner:
                runner.run(run())

        test.__name__ = scenario.__name__
        test.__qualname__ = scenario.__qualname__
        test.__doc__ = scenario.__doc__
        test.__module__ = scenario.__module__
        return test

    return decorate
