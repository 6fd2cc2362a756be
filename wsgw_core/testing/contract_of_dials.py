"""Tests of the contract: opening, dialling and closing a backend."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace

import pytest

from wsgw_core.api import (
    BackendUnavailable,
    CloseCause,
    DialRequest,
    Limits,
)

from .bench_session import BenchSession
from .context import make_context
from .contract_bench import Bench
from .contract_suite import ContractSuite, contract_test
from .descriptors import open_descriptors
from .recording_sink import RecordingSink

_SESSIONS = 10


class DialContract(ContractSuite):
    """Part of BackendContract."""

    @contract_test()
    async def test_a_dial_without_offers_chooses_no_subprotocol(self, bench: Bench) -> None:
        """The core reads `subprotocol` and `headers` before `start`."""
        session = await bench.connect()
        if not bench.harness.make_request(session.id).subprotocols:
            chosen = session.connection.subprotocol
            assert chosen is None, f"subprotocol {chosen!r} was not offered"
        for name, value in session.connection.headers:
            assert isinstance(name, str), f"a header's name is {name!r}"
            assert isinstance(value, str), f"the value of header {name} is {value!r}"

    @contract_test()
    async def test_a_live_backend_is_healthy(self, bench: Bench) -> None:
        """`probe` returns."""
        await bench.patiently(bench.backend.probe(), "probe() to return")

    @contract_test("unreachable")
    async def test_an_unreachable_backend_is_unavailable(self, bench: Bench) -> None:
        """`connect` and `probe` raise BackendUnavailable and do not call the Sink."""
        backend = bench.harness.make_unreachable_backend(make_context())
        sink = RecordingSink()
        await backend.open()
        try:
            with pytest.raises(BackendUnavailable):
                await bench.patiently(
                    backend.connect(bench.harness.make_request("nobody"), sink), "connect()"
                )
            with pytest.raises(BackendUnavailable):
                await bench.patiently(backend.probe(), "probe()")
        finally:
            await backend.close()
        sink.check()

    @contract_test()
    async def test_a_backend_that_was_never_opened_can_be_closed(self, bench: Bench) -> None:
        """The core also calls `close` after a failed `open`."""
        backend = bench.harness.make_backend(make_context())
        await bench.patiently(backend.close(), "Backend.close() to return")

    @contract_test()
    async def test_a_cancelled_dial_leaves_nothing(self, bench: Bench) -> None:
        """No task, descriptor or Sink call remains, at whatever point `connect` was cancelled."""
        await self._dial_and_cancel(bench)  # makes what is made only once
        tasks, descriptors = asyncio.all_tasks(), open_descriptors()
        await self._dial_and_cancel(bench)
        await bench.until_tasks_are(tasks)
        await bench.until_descriptors_are(descriptors)

    @contract_test()
    async def test_nothing_is_left_of_a_closed_backend(self, bench: Bench) -> None:
        """No task or descriptor remains, whichever side ended its connections."""
        await self._live_and_close(bench)  # makes what is made only once
        tasks, descriptors = asyncio.all_tasks(), open_descriptors()
        await self._live_and_close(bench)
        await bench.until_tasks_are(tasks)
        await bench.until_descriptors_are(descriptors)

    @contract_test()
    async def test_nothing_is_kept_of_sessions_that_are_over(self, bench: Bench) -> None:
        """No table of the backend grows with the sessions that it has served."""
        await self._serve_and_end(bench)
        before = bench.container_sizes()
        for _ in range(2):
            await self._serve_and_end(bench)
        await bench.until_containers_have_grown_less_than(2 * _SESSIONS, before)

    @contract_test(limits=Limits(close_timeout=0.3))
    async def test_a_backend_is_closed_when_its_connections_are(self, bench: Bench) -> None:
        """`close` waits for connections that are still closing, however slow the counterpart is."""
        backend = bench.make_backend()
        await backend.open()
        sessions = [await bench.session(backend) for _ in range(3)]
        async with bench.frozen() if bench.capabilities.freezes else nullcontext():
            for session in sessions:
                session.send(self._numbered(3))
                session.connection.close(1001, "stopping", CloseCause.GATEWAY_STOPS)
            await bench.close(backend)
            open_still = sum(session.sink.end is None for session in sessions)
            assert not open_still, (
                f"Backend.close() returned while {open_still} of {len(sessions)} connections"
                " had not reported their end"
            )

    # What the application learns

    @contract_test("path")
    async def test_the_application_learns_the_path(self, bench: Bench) -> None:
        """It gets the path with its query as the client sent it."""
        request = bench.make_request()
        path = request.path.partition("?")[0] + f"?a=1&b=%2Fx%20y&session={request.session_id}"
        await self._say_something(bench, replace(request, path=path))
        told, _ = await bench.patiently(
            bench.harness.request(request.session_id), "the application to learn the path"
        )
        assert told == path, f"the path is {path!r}, but the application got {told!r}"

    @contract_test("headers")
    async def test_the_application_learns_the_headers(self, bench: Bench) -> None:
        """It gets all of them in their order, including repeated ones."""
        request = bench.make_request()
        sent = (("X-Contract", "one"), ("Cookie", "a=b; c=d"), ("X-Contract", "two"))
        await self._say_something(bench, replace(request, headers=(*request.headers, *sent)))
        _, told = await bench.patiently(
            bench.harness.request(request.session_id), "the application to learn the headers"
        )
        for name in ("x-contract", "cookie"):
            values = [value for key, value in sent if key.lower() == name]
            got = [value for key, value in told if key.lower() == name]
            assert got == values, f"header {name} is {values!r}, but the application got {got}"

    # Inside

    async def _say_something(self, bench: Bench, request: DialRequest) -> None:
        """Dials with a request, and returns when the application knows the session."""
        session = await bench.dial(request)
        session.connection.start()
        messages = self._numbered(1)
        session.send(messages)
        await session.expect_at_backend(messages)

    async def _serve_and_end(self, bench: Bench) -> None:
        """Exchanges messages and replies on several sessions, and ends them."""
        sessions = [await bench.session() for _ in range(_SESSIONS)]
        messages = self._numbered(3)

        async def serve(session: BenchSession) -> None:
            session.send(messages)
            await session.expect_at_backend(messages)
            await session.sink.until_delivered(len(messages))
            if bench.capabilities.replies:
                await session.reply(messages)
                await session.expect_replies(messages)
            await bench.end(session)

        await asyncio.gather(*(serve(session) for session in sessions))

    @staticmethod
    async def _live_and_close(bench: Bench) -> None:
        async with bench.another_backend() as backend:
            ours = await bench.session(backend)
            await ours.close()
            unstarted = await bench.connect(backend)
            unstarted.connection.close(1001)
            if bench.capabilities.ends:
                theirs = await bench.session(backend)
                await bench.harness.end(theirs.id, 1000, "")
                await theirs.sink.until_closed()
            if bench.capabilities.breaks:
                lost = await bench.session(backend)
                await bench.break_off(lost)
                await lost.sink.until_closed()

    @staticmethod
    async def _dial_and_cancel(bench: Bench) -> None:
        async with bench.another_backend() as backend:
            for turns in range(20):
                dial = asyncio.create_task(bench.connect(backend))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if turns >= 10:  # some dials wait for the network rather than for the loop
                    await asyncio.sleep(0.0005 * (turns - 9))
                dial.cancel()
                try:
                    session = await dial
                except asyncio.CancelledError:
                    continue
                session.connection.start()  # it was faster
                await session.close()
