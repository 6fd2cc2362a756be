"""Makes tests of the coroutines of a contract suite; they need no plugin of pytest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import pytest

from wsgw_core.api import BINARY, TEXT, Limits, Message

from .backend_harness import BackendHarness, Capabilities
from .contract_bench import Bench


class ContractSuite:
    """The settings of a suite's tests, and messages for them.

    Attributes:
        capabilities: what the kind and its harness can do.
        loop_factory: makes the event loop of each test, for example `uvloop.new_event_loop`.
        timeout: the timeout in seconds; generous, since only failing tests reach it.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    loop_factory: ClassVar[Callable[[], asyncio.AbstractEventLoop] | None] = None
    timeout: ClassVar[float] = 20.0

    def _samples(self) -> list[Message]:
        samples = []
        if self.capabilities.text:
            samples += [Message.from_text(text) for text in ("a", "grüße, 世界 🌍", "x" * 65536)]
        if self.capabilities.binary:
            samples += [Message(BINARY, data) for data in (b"\0", bytes(range(256)) * 256)]
        if self.capabilities.empty:
            samples += [self._message(b"")]
        return [*samples, self._message(b"last")]

    def _numbered(self, count: int, prefix: str = "message") -> list[Message]:
        return [self._message(f"{prefix} {number}".encode()) for number in range(count)]

    def _pressing(self) -> list[Message]:
        """Returns more messages than socket buffers hold, or as many as a reply buffer holds."""
        if self.capabilities.shared_link:
            return [self._message(f"{number:08}".encode() * 128) for number in range(64)]
        return [self._large(number) for number in range(256)]

    def _large(self, number: int) -> Message:
        return self._message(f"{number:08}".encode() * 8192)

    def _message(self, data: bytes) -> Message:
        return Message(TEXT if self.capabilities.text else BINARY, data)


Scenario = Callable[[Any, Bench], Coroutine[Any, Any, None]]
Test = Callable[[Any, BackendHarness], None]


def contract_test(*needs: str, limits: Limits | None = None) -> Callable[[Scenario], Test]:
    """Makes a test of a coroutine whose argument is a running Bench.

    Args:
        needs: the capabilities without which the test is skipped.
        limits: the limits in the backend's context.
    """

    def decorate(scenario: Scenario) -> Test:
        def test(self: ContractSuite, harness: BackendHarness) -> None:
            suite = type(self)  # by the class: a function in `loop_factory` is not a method
            for need in needs:
                if not getattr(suite.capabilities, need):
                    pytest.skip(f"the kind does not declare the capability {need!r}")

            async def run() -> None:
                bench = Bench(harness, suite.capabilities, limits or Limits(), suite.timeout)
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
