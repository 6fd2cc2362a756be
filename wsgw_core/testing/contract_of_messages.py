"""Tests of the contract: messages to the backend."""

from __future__ import annotations

import asyncio

from wsgw_core.api import EndMeaning, Limits, Message

from .bench_session import BenchSession
from .contract_bench import Bench
from .contract_suite import ContractSuite, contract_test


class MessageContract(ContractSuite):
    """Part of BackendContract."""

    @contract_test()
    async def test_messages_arrive_as_they_were_in_order(self, bench: Bench) -> None:
        """The messages are text and binary, empty and large."""
        messages = self._samples() + self._numbered(200)
        session = await bench.session()
        session.send(messages)
        await session.expect_at_backend(messages)

    @contract_test()
    async def test_every_message_is_reported_delivered(self, bench: Bench) -> None:
        """Each is reported exactly once."""
        messages = self._samples() + self._numbered(200)
        session = await bench.session()
        session.send(messages)
        await session.sink.until_delivered(len(messages))
        await session.expect_at_backend(messages)

    @contract_test()
    async def test_the_greatest_message_arrives_or_ends_its_session(self, bench: Bench) -> None:
        """A message of `limits.max_message_size` counts as delivered only if it arrives."""
        session = await bench.session()
        greatest = self._message(b"0123456789abcdef" * (Limits().max_message_size // 16))
        messages = [greatest, *self._numbered(1, "behind it")]
        session.send(messages)
        await session.sink.until(
            lambda: session.sink.delivered_count == len(messages) or session.sink.end is not None,
            f"{len(messages)} deliveries, or the end of the connection",
        )
        if session.sink.end is None:
            await session.expect_at_backend(messages)
            return
        assert session.sink.delivered_count == 0, (
            f"a message of {greatest.size} bytes was reported delivered, and ended its session"
        )
        assert session.sink.end.meaning is EndMeaning.OVER, (
            f"a message that is too long was reported as {session.sink.end}, so that the session"
            " sends it to all other backends"
        )

    @contract_test()
    async def test_a_single_message_is_reported_delivered(self, bench: Bench) -> None:
        """No later message is needed for the report."""
        session = await bench.session()
        for count, message in enumerate(self._numbered(3), start=1):
            session.send([message])
            await session.sink.until_delivered(count)
            await session.expect_at_backend([message])

    @contract_test("freezes")
    async def test_nothing_is_delivered_before_the_backend_has_it(self, bench: Bench) -> None:
        """While the counterpart takes nothing, no message is reported as delivered."""
        session = await bench.session()
        messages = self._numbered(3)
        async with bench.frozen():
            session.send(messages)
            await asyncio.sleep(0.3)  # room for a report that must not come
            assert session.sink.delivered_count == 0, (
                "a message was reported delivered before the backend had it"
            )
        await session.sink.until_delivered(len(messages))
        await session.expect_at_backend(messages)

    @contract_test("freezes")
    async def test_a_slow_backend_makes_the_connection_unwritable(self, bench: Bench) -> None:
        """It becomes writable again when the backend goes on, and no message is lost."""
        session = await bench.session()
        messages: list[Message] = []
        async with bench.frozen():
            while session.sink.is_writable:
                assert len(messages) < 1024, "64 MiB wait and the connection is still writable"
                messages.append(self._large(len(messages)))
                session.send(messages[-1:])
                await asyncio.sleep(0)
        await session.expect_at_backend(messages)
        await session.sink.until_writable(True)
        await session.sink.until_delivered(len(messages))

    @contract_test()
    async def test_a_hundred_sessions_do_not_mix(self, bench: Bench) -> None:
        """Each gets its own messages, in order, in both directions, and its reports of delivery."""
        sessions = await asyncio.gather(*(bench.session() for _ in range(100)))
        sent = {session.id: self._numbered(20, session.id) for session in sessions}
        for turn in range(20):
            for session in sessions:
                session.send([sent[session.id][turn]])

        async def serve(session: BenchSession) -> None:
            await session.expect_at_backend(sent[session.id])
            await session.sink.until_delivered(len(sent[session.id]))
            if bench.capabilities.replies:
                await session.reply(sent[session.id])
                await session.expect_replies(sent[session.id])

        await asyncio.gather(*(serve(session) for session in sessions))
