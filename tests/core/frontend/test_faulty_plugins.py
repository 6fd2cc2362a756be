"""Plugins at fault: the client always gets an answer, and nothing invalid leaves the gateway."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from wsgw_core.api import BackendDeclined, Handshake, HandshakeGate, MessageValve, Refusal
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.all_sessions.routes import Route, Routes
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve

from .frontend_bench import TIMEOUT, FrontendBench, request

Admit = Callable[[Handshake], Any]


class Gate:
    """Calls the test's function."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit

    def admit(self, handshake: Handshake) -> Refusal | None | Awaitable[Refusal | None]:
        verdict: Refusal | None | Awaitable[Refusal | None] = self._admit(handshake)
        return verdict


async def wait_for_what_is_cancelled(_: Handshake) -> None:
    """Waits for a task that something else cancels, such as a client library that closes."""
    task = asyncio.ensure_future(asyncio.sleep(1000))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


def cancel(_: Handshake) -> None:
    raise asyncio.CancelledError


async def forever(_: Handshake) -> None:
    await asyncio.Event().wait()


def generator_exit(_: Handshake) -> None:
    raise GeneratorExit


async def late_generator_exit(_: Handshake) -> None:
    await asyncio.sleep(0)
    raise GeneratorExit


def exiting(_: Handshake) -> None:
    sys.exit(3)


async def late_exit(_: Handshake) -> None:
    await asyncio.sleep(0)
    sys.exit(3)


def setting(name: str, value: object) -> Admit:
    """Returns a gate's function that assigns an attribute of the handshake."""
    return lambda handshake: setattr(handshake, name, value)


FAULTS: dict[str, Admit] = {
    "waits for a cancelled task": wait_for_what_is_cancelled,
    "raises CancelledError": cancel,
    "raises GeneratorExit": generator_exit,
    "raises GeneratorExit later": late_generator_exit,
    "exits": exiting,
    "exits later": late_exit,
    "returns True": lambda _: True,
    "returns a text": lambda _: "denied",
    "refuses with 101": lambda _: Refusal(101),
    "refuses with 200": lambda _: Refusal(200),
    "refuses with 600": lambda _: Refusal(600),
    "refuses with a body of text": lambda _: Refusal(403, (), "no"),  # type: ignore[arg-type]  # the fault
    "refuses with a line break": lambda _: Refusal(302, (("Location", "/\r\nSet-Cookie: a"),)),
    "refuses with a name of two lines": lambda _: Refusal(302, (("A: b\r\nSet-Cookie", "a"),)),
    "refuses with a character of no header": lambda _: Refusal(302, (("Location", "/\u20ac"),)),
    "decodes the path": setting("path", "/a HTTP/1.1\r\nX-Admin: 1\r\n\r\n"),
    "sets a path beyond ASCII": setting("path", "/\u00e4"),
    "sets no path": setting("path", None),
    "sets a relative path": setting("path", "a"),
    "sets a header with a line break": setting("headers", (("X-A", "a\r\nX-Admin: 1"),)),
    "sets a header with a name of two lines": setting("headers", (("A: b\r\nX-Admin", "1"),)),
    "sets a header beyond ISO-8859-1": setting("headers", (("X-A", "\u20ac"),)),
    "sets a number as a header": setting("headers", (("X-A", 7),)),
    "adds a line break to the answer": setting("answer_headers", (("X-A", "a\r\nX-B: b"),)),
    "adds a name of two lines to the answer": setting("answer_headers", (("A: b\r\nX", "1"),)),
    "sets a subprotocol of two words": setting("subprotocols", ("a b",)),
    "sets no subprotocols": setting("subprotocols", None),
    "sets a text as the subprotocols": setting("subprotocols", "chat"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_fault_of_gate_is_answered_500_without_a_dial(fault: Admit) -> None:
    async with FrontendBench(gates=[Gate(fault)]) as bench:
        status, headers, body = await bench.refusal(request())
        assert (status, body) == (500, b"internal error\n")
        assert [name for name, _ in headers] == ["Content-Length", "Connection", "Content-Type"]
        assert bench.backend.requests == []


@pytest.mark.parametrize(
    "fault",
    [
        BackendDeclined(302, (("Location", "/\r\nSet-Cookie: a"),)),
        BackendDeclined(200),
        BackendDeclined(403, (), "no"),  # type: ignore[arg-type]  # the fault
        asyncio.CancelledError(),
    ],
    ids=["line break", "200", "body of text", "CancelledError"],
)
async def test_fault_of_backend_plugin_is_answered(
    fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object) -> None:
        raise fault

    async with FrontendBench() as bench:
        for backend in (bench.relay.blue, bench.relay.green):
            monkeypatch.setattr(backend, "connect", connect)
        assert (await bench.refusal(request()))[0] in (500, 502)


class FaultyValve:
    """Fails for each session."""

    def for_session(self, _session: object) -> MessageValve:
        raise LookupError("secret bug")


async def test_fault_of_valve_is_answered_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with FrontendBench() as bench:
        context = replace(bench.relay.context, valves=(ConfiguredValve("faulty", FaultyValve()),))
        bench.opener.serve_by(Routes([Route(None, (), context)]))
        status, _, body = await bench.refusal(request())
        assert (status, body) == (500, b"internal error\n")
        assert bench.backend.requests == []
    assert "secret bug" in caplog.text


async def test_gate_may_assign_lists_and_iterators() -> None:
    def admit(handshake: Handshake) -> None:
        handshake.headers = (field for field in [("X-A", "\xe4")])  # type: ignore[assignment]  # the case
        handshake.answer_headers = [("X-B", "1")]  # type: ignore[assignment]  # the case
        handshake.subprotocols = iter(["chat"])  # type: ignore[assignment]  # the case
        handshake.path = "/b?c"

    async with FrontendBench(gates=[Gate(admit)]) as bench:
        client = await bench.connect(request())
        status, headers = await client.read_head()
        asked = bench.backend.requests[0]
        assert status == 101
        assert ("X-B", "1") in headers
        assert ("X-A", "\xe4") in asked.headers
        assert (asked.path, asked.subprotocols) == ("/b?c", ("chat",))


class StubbornGate:
    """Does not decide, and ignores its cancellation until the test ends it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.end = asyncio.Event()
        self.ended = asyncio.Event()

    async def admit(self, _: Handshake) -> None:
        self.asked.set()
        while not self.end.is_set():
            try:
                await self.end.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
        self.ended.set()
        raise ValueError("too late")


def serve_with_short_timeout(bench: FrontendBench, gate: HandshakeGate) -> None:
    limits = LimitOptions.model_validate({"handshake-timeout": "10ms"})
    context = replace(bench.relay.context, limits=limits)
    bench.opener.serve_by(Routes([Route(None, (gate,), context)]))


async def test_gate_that_does_not_decide_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FrontendBench() as bench:
        serve_with_short_timeout(bench, Gate(forever))
        with caplog.at_level(logging.WARNING, "wsgw.test"):
            for _ in range(3):
                status, _, body = await bench.refusal(request())
                assert (status, body) == (503, b"access check timed out\n")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].endswith(": gate Gate did not decide in time")


async def test_gate_that_ignores_its_cancellation_is_answered_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = StubbornGate()
    async with FrontendBench() as bench:
        serve_with_short_timeout(bench, gate)
        status, _, body = await bench.refusal(request())
        assert (status, body) == (503, b"access check timed out\n")
        async with asyncio.timeout(TIMEOUT):
            await gate.cancelled.wait()
            gate.end.set()
            await gate.ended.wait()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_client_that_leaves_ends_the_handshake_of_a_gate_that_ignores_its_cancellation() -> (
    None
):
    gate = StubbornGate()
    async with FrontendBench(gates=[gate]) as bench:
        plugins = bench.opener.routes.plugins
        client = await bench.connect(request())
        async with asyncio.timeout(TIMEOUT):
            await gate.asked.wait()
            assert bench.opener.is_opening(plugins)
            client.writer.transport.abort()
            await gate.cancelled.wait()
        assert not bench.opener.is_opening(plugins)
        gate.end.set()
