"""Tests of the contract: the end of a connection."""

from __future__ import annotations

import asyncio

from wsgw_core.api import Close, CloseCause, Limits

from .contract_bench import Bench
from .contract_suite import ContractSuite, contract_test


class EndContract(ContractSuite):
    """Part of BackendContract."""

    @contract_test()
    async def test_closing_passes_on_what_was_sent_and_ends_once(self, bench: Bench) -> None:
        """`closed` comes once, however often `close` is called."""
        session = await bench.session()
        messages = self._numbered(20)
        session.send(messages)
        session.connection.close(1000, "done")
        session.connection.close(1001, "again")
        close = await session.sink.until_closed()
        assert not close.abnormal, f"an orderly close was reported as {close}"
        await session.expect_at_backend(messages)
        session.connection.close(1000, "after the end")
        await asyncio.sleep(0.05)  # room for a second `closed`, which the sink would report

    @contract_test("freezes", limits=Limits(close_timeout=0.3))
    async def test_closing_ends_even_if_the_backend_takes_nothing(self, bench: Bench) -> None:
        """`limits.close_timeout` limits the close; a timeout is an abnormal end."""
        session = await bench.session()
        async with bench.frozen():
            session.send(self._numbered(3))
            close = await session.close(1000, "done")
            assert close.abnormal, (
                f"the timeout of the close was reported as {close}, which says that the backend has"
                " all messages"
            )

    @contract_test()
    async def test_a_connection_can_be_closed_without_a_start(self, bench: Bench) -> None:
        """The client may leave before the dial is over; nothing is left of the connection."""
        session = await bench.connect()
        session.connection.close(1001, "the client is gone")
        session.connection.close(1001, "again")

    @contract_test()
    async def test_messages_after_the_end_are_ignored(self, bench: Bench) -> None:
        """They cause neither an exception nor a Sink call."""
        session = await bench.session()
        await session.close()
        session.send(self._numbered(3))
        await asyncio.sleep(0.05)  # room for a Sink call, which the sink would report

    @contract_test("ends")
    async def test_the_backends_close_arrives_with_code_and_reason(self, bench: Bench) -> None:
        """The end is not abnormal, and comes after earlier replies."""
        session = await bench.session()
        messages = self._numbered(3) if bench.capabilities.replies else []
        await session.reply(messages)
        await bench.patiently(bench.harness.end(session.id, 4001, "enough"), "the backend to end")
        close = await session.sink.until_closed()
        assert close == Close(4001, "enough"), f"4001 'enough' was reported as {close}"
        await session.expect_replies(messages)
        session.send(self._numbered(1))
        session.connection.close(1000)
        await asyncio.sleep(0.05)  # room for a second `closed`, which the sink would report

    @contract_test("ends")
    async def test_both_sides_may_close_at_once(self, bench: Bench) -> None:
        """The connection then ends once, and not abnormally."""
        session = await bench.session()
        session.connection.close(1000, "done")
        await bench.patiently(bench.harness.end(session.id, 4001, "enough"), "the backend to end")
        close = await session.sink.until_closed()
        assert not close.abnormal, f"an end from both sides was reported as {close}"
        await asyncio.sleep(0.05)  # room for a second `closed`, which the sink would report

    @contract_test("ends")
    async def test_an_end_that_crosses_a_close_is_orderly_only_if_all_has_arrived(
        self, bench: Bench
    ) -> None:
        """The report decides whether the session sends its messages again elsewhere."""
        session = await bench.session()
        messages = self._numbered(20)
        ending = asyncio.create_task(bench.harness.end(session.id, 1001, "restarting"))
        session.send(messages)
        session.connection.close(1001, "moved", CloseCause.SESSION_MOVES)
        await bench.patiently(ending, "the backend to end")
        close = await session.sink.until_closed()
        if not close.abnormal:
            await session.expect_at_backend(messages)
