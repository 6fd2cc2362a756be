"""Tests of the contract: messages from the backend."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from wsgw_core.api import (
    TEXT,
    CloseCause,
    EndMeaning,
    Limits,
    Message,
)

from .bench_session import BenchSession
from .contract_bench import Bench
from .contract_suite import ContractSuite, contract_test


class ReplyContract(ContractSuite):
    """Part of BackendContract."""

    @contract_test("replies")
    async def test_nothing_is_heard_before_the_start(self, bench: Bench) -> None:
        """Messages that arrive before `start` wait, and then come in order."""
        early, other = await bench.connect(), await bench.session()
        messages = self._numbered(3)
        await early.reply(messages)
        await other.reply(messages)
        await other.sink.until_messages(3)
        await asyncio.sleep(0.05)  # the other's round trip was probably enough
        early.sink.check()
        early.connection.start()
        await early.expect_replies(messages)

    @contract_test("replies")
    async def test_replies_arrive_as_they_were_in_order(self, bench: Bench) -> None:
        """The messages are text and binary, empty and large."""
        messages = self._samples() + self._numbered(200)
        session = await bench.session()
        await session.reply(messages)
        await session.expect_replies(messages)

    @contract_test("replies", "silent_while_paused")
    async def test_a_paused_connection_is_silent_soon(self, bench: Bench) -> None:
        """It is silent however much the application sends, while another session gets all of it."""
        paused, other = await bench.session(), await bench.session()
        messages = self._pressing()
        paused.connection.pause()
        sending = asyncio.gather(paused.reply(messages), other.reply(messages))
        try:
            await other.sink.until_messages(len(messages))
            heard = len(paused.sink.messages)
            assert heard < len(messages) // 2, f"{heard} messages came after pause()"
            paused.connection.resume()
            await sending
        finally:
            sending.cancel()

    @contract_test("replies", "keeps_while_paused")
    async def test_nothing_is_lost_while_paused(self, bench: Bench) -> None:
        """The application's messages come after `resume`, in order."""
        paused, other = await bench.session(), await bench.session()
        messages = self._pressing()
        paused.connection.pause()
        sending = asyncio.gather(paused.reply(messages), other.reply(messages))
        try:
            await other.sink.until_messages(len(messages))
            paused.connection.resume()
            await sending
        finally:
            sending.cancel()
        await paused.expect_replies(messages)

    @contract_test("replies", "keeps_while_paused", "ends")
    async def test_what_has_waited_comes_before_the_backends_end(self, bench: Bench) -> None:
        """The backend ends the session while it is paused."""
        session = await bench.session()
        messages = self._numbered(5)
        session.connection.pause()
        await session.reply(messages)
        ending = asyncio.ensure_future(bench.harness.end(session.id, 4001, "enough"))
        await asyncio.sleep(0.05)  # the end may come now, or wait for `resume`
        session.connection.resume()
        await session.sink.until_closed()
        await bench.patiently(ending, "the backend to end")
        session.expect_to_have_heard(messages)

    @contract_test("replies", "keeps_while_paused", "shared_link")
    async def test_what_has_waited_comes_before_the_end_of_a_move(self, bench: Bench) -> None:
        """The session closes its paused connection because it moves."""
        session, other = await bench.session(), await bench.session()
        messages = self._numbered(5)
        session.connection.pause()
        await session.reply(messages)
        await other.reply(messages)
        await other.sink.until_messages(len(messages))  # so the first one's are here too
        await session.close(1001, "moves", CloseCause.SESSION_MOVES)
        session.expect_to_have_heard(messages)

    @contract_test("replies")
    async def test_replies_around_the_end_come_before_it_or_not_at_all(self, bench: Bench) -> None:
        """The application continues to send while the session closes."""
        session = await bench.session()

        async def talk() -> None:
            for message in self._numbered(200):
                await bench.harness.reply(session.id, message)

        talking = asyncio.create_task(talk())
        await session.sink.until_messages(1)
        await session.close(1001, "the client is gone")
        await asyncio.sleep(0.05)  # room for a late call, which the sink would report
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)  # its session may have been gone

    @contract_test("replies", "shared_link")
    async def test_late_replies_find_no_session_that_is_over(self, bench: Bench) -> None:
        """The backend may pass them to `BackendContext.deliver`, but not to the Sink."""
        gone, other = await bench.session(), await bench.session()
        await bench.end(gone, 1000, "done")
        late = self._numbered(3, "late")
        await gone.reply(late)
        await other.reply(late)
        await other.sink.until_messages(len(late))  # so the first one's were here too
        gone.sink.check()

    @contract_test("replies", "text", "invalid_utf8")
    async def test_text_that_is_not_utf8_is_not_passed_on_as_text(self, bench: Bench) -> None:
        """The kind may drop it or end the session, for example."""
        invalid = Message(TEXT, b"caf\xe9 \xff\xfe")
        await self._reply_with(bench, invalid)

    @contract_test("replies", limits=Limits(max_message_size=4096))
    async def test_a_reply_that_is_too_long_is_not_passed_on(self, bench: Bench) -> None:
        """It is dropped, or the session ends: another backend would send it too."""
        session = await self._reply_with(bench, self._message(b"x" * 4097))
        end = session.sink.end
        assert end is None or end.meaning is EndMeaning.OVER, (
            f"a reply that is too long was reported as {end}, so that the session asks the next"
            " backend for it"
        )

    @contract_test("replies", "keeps_while_paused")
    async def test_pausing_while_a_message_is_passed_on(self, bench: Bench) -> None:
        """The session may call `pause` and `resume` inside `Sink.message`; nothing is lost."""
        session = await bench.session()
        messages = self._numbered(100)
        loop = asyncio.get_running_loop()

        def pause_for_a_moment(message: Message) -> None:
            if message in messages[::5]:
                session.connection.pause()
                loop.call_later(0.001, session.connection.resume)

        session.sink.on_message = pause_for_a_moment
        await session.reply(messages)
        await session.expect_replies(messages)

    @contract_test("replies")
    async def test_a_client_that_is_gone_is_no_fault(self, bench: Bench) -> None:
        """`Sink.message` returns False, and the session can still close the connection."""
        session = await bench.session()
        session.sink.client_is_there = False
        await session.reply(self._numbered(3))
        await session.sink.until_messages(1)
        await session.close(1001, "the client is gone")

    # Inside

    async def _reply_with(self, bench: Bench, wrong: Message) -> BenchSession:
        """Sends a session a wrong message and then a good one; returns the session.

        The session may be over by then. Another session must not be affected.
        """
        session, other = await bench.session(), await bench.session()
        good = self._numbered(1, "good")
        await session.reply([wrong])
        with suppress(Exception):  # the session may be gone already
            await bench.harness.reply(session.id, good[0])
        await session.sink.until(
            lambda: good[0] in session.sink.messages or session.sink.end is not None,
            "the reply behind it, or the end of the connection",
        )
        await other.reply(good)
        await other.expect_replies(good)
        return session
