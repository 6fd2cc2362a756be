"""The contract suite passes for correct backends; see test_wrong_backends for the others."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
import uvloop

from wsgw_core.api import Close, CloseCause
from wsgw_core.testing.backend_contract import BackendContract, BackendHarness, Capabilities
from wsgw_core.testing.virtual_clock import VirtualClockLoop

from .broker_backend import BrokerBackend, BrokerHarness
from .memory_backend import MemoryBackend, MemoryHarness, OrderedMemoryBackend
from .wrong_backends import LosesAMessage, ReportsDeliveryEarly, backend_of


class TestWrittenDirectly(BackendContract):
    loop_factory = VirtualClockLoop

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return MemoryHarness(MemoryBackend)


class TestWrittenWithOrderedConnection(BackendContract):
    loop_factory = VirtualClockLoop

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return MemoryHarness(OrderedMemoryBackend)


class TestOfASharedBroker(BackendContract):
    loop_factory = VirtualClockLoop
    capabilities = Capabilities(refuses=True, shared_link=True)

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return BrokerHarness(BrokerBackend)


class TestOnAnOrdinaryLoop(BackendContract):
    @pytest.fixture
    def harness(self) -> BackendHarness:
        return MemoryHarness(OrderedMemoryBackend)


class TestOnUvloop(BackendContract):
    loop_factory = uvloop.new_event_loop

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return MemoryHarness(MemoryBackend)


def test_overriding_a_test_without_a_reason_is_refused() -> None:
    with pytest.raises(TypeError, match="test_a_hundred_sessions_do_not_mix overrides"):

        class Silent(BackendContract):
            def test_a_hundred_sessions_do_not_mix(self, harness: BackendHarness) -> None:
                """Pass without looking."""


def test_removing_a_test_is_refused() -> None:
    with pytest.raises(TypeError, match="test_a_live_backend_is_healthy overrides"):
        type("Removing", (BackendContract,), {"test_a_live_backend_is_healthy": None})


def test_overriding_from_a_mixin_is_refused() -> None:
    class Mixin:
        def test_a_live_backend_is_healthy(self, harness: BackendHarness) -> None:
            """Pass without looking."""

    with pytest.raises(TypeError, match="test_a_live_backend_is_healthy overrides"):
        type("Mixed", (Mixin, BackendContract), {})


def test_an_xfail_without_a_reason_is_refused() -> None:
    with pytest.raises(TypeError, match="reason"):

        class Unexplained(BackendContract):
            @pytest.mark.xfail
            def test_a_live_backend_is_healthy(self, harness: BackendHarness) -> None:
                super().test_a_live_backend_is_healthy(harness)


def test_an_xfail_with_a_reason_is_accepted_and_runs_the_test() -> None:
    class Explained(BackendContract):
        loop_factory = VirtualClockLoop

        @pytest.mark.xfail(reason="the server's bug 12")
        def test_a_live_backend_is_healthy(self, harness: BackendHarness) -> None:
            super().test_a_live_backend_is_healthy(harness)

    class Ailing(MemoryBackend):
        async def probe(self) -> None:
            raise OSError("bug 12")

    with pytest.raises(OSError, match="bug 12"):
        Explained().test_a_live_backend_is_healthy(MemoryHarness(Ailing))


def test_missing_capabilities_skip_tests_by_name() -> None:
    class Mute(BackendContract):
        capabilities = Capabilities(replies=False)

    with pytest.raises(pytest.skip.Exception, match="'replies'"):
        Mute().test_replies_arrive_as_they_were_in_order(MemoryHarness(MemoryBackend))


def test_an_exception_in_a_callback_is_a_failure() -> None:
    class Careless(MemoryBackend):
        async def probe(self) -> None:
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)

    class Suite(BackendContract):
        loop_factory = VirtualClockLoop

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        Suite().test_a_live_backend_is_healthy(MemoryHarness(Careless))


def test_the_first_failure_is_raised_and_sessions_are_closed() -> None:
    class LosesAndFailsToClose(MemoryBackend):
        connection_class = LosesAMessage
        closes: ClassVar[list[int]] = []

        async def close(self) -> None:
            self.closes.append(len([each for each in self.connections if not each.over.is_set()]))
            raise OSError("bug 13")

    class Suite(BackendContract):
        loop_factory = VirtualClockLoop

    with pytest.raises(AssertionError, match="message 85 should be") as caught:
        Suite().test_messages_arrive_as_they_were_in_order(MemoryHarness(LosesAndFailsToClose))

    assert LosesAndFailsToClose.closes == [0]
    assert caught.value.__notes__ == ["Cleaning up after this error failed too: bug 13"]


def test_a_counterpart_that_is_frozen_thaws_when_a_test_fails() -> None:
    class Suite(BackendContract):
        loop_factory = VirtualClockLoop

    harness = MemoryHarness(backend_of(ReportsDeliveryEarly))
    with pytest.raises(AssertionError, match="before the backend had it"):
        Suite().test_nothing_is_delivered_before_the_backend_has_it(harness)
    assert harness.is_thawed


def test_session_ended_is_called_once_for_each_session() -> None:
    class Tracking(MemoryBackend):
        ends: ClassVar[list[str]] = []

        def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
            self.ends.append(session_id)

    class Suite(BackendContract):
        loop_factory = VirtualClockLoop

    Suite().test_the_newest_connection_of_a_session_wins(MemoryHarness(Tracking))
    assert len(Tracking.ends) == 1
    Suite().test_nothing_is_kept_of_sessions_that_are_over(MemoryHarness(Tracking))
    assert len(set(Tracking.ends)) == len(Tracking.ends) == 31
