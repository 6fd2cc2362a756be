"""The contract suite passes for correct backends; see test_wrong_backends for the others."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from wsgw_core.testing.backend_contract import BackendContract, BackendHarness, Capabilities
from wsgw_core.testing.virtual_clock import VirtualClockLoop

from .memory_backend import MemoryBackend, MemoryHarness, OrderedMemoryBackend


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


def test_what_a_kind_cannot_do_is_skipped_by_name() -> None:
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
