"""Tests of the contract: lost backends, and sessions that move."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from wsgw_core.api import (
    CloseCause,
    EndMeaning,
)

from .bench_session import BenchSession
from .contract_bench import Bench
from .contract_suite import ContractSuite, contract_test


class LossContract(ContractSuite):
    """Part of BackendContract."""

    @contract_test("breaks")
    async def test_a_lost_backend_is_abnormal_and_ends_once(self, bench: Bench) -> None:
        """The session must get a report of the loss, so that it can go on elsewhere."""
        session = await bench.session()
        session.send(self._numbered(1))
        await session.sink.until_delivered(1)
        await bench.break_off(session)
        close = await session.sink.until_closed()
        assert close.abnormal, f"the loss was reported as {close}, which ends the session"
        session.send(self._numbered(1))
        session.connection.close(1000)
        await asyncio.sleep(0.05)  # room for a second `closed`, which the sink would report

    @contract_test("breaks")
    async def test_what_is_sent_to_a_lost_backend_is_not_delivered(self, bench: Bench) -> None:
        """If it counted as delivered, it would not be sent again."""
        session = await bench.session()
        await bench.patiently(bench.harness.break_off(session.id), "the counterpart to break")
        session.send(self._numbered(3))
        await session.sink.until_closed()
        assert session.sink.delivered_count == 0, "reported delivered, but the backend was lost"

    @contract_test("breaks")
    async def test_what_was_not_delivered_is_sent_again_by_the_session_alone(
        self, bench: Bench
    ) -> None:
        """The session sends it on a new connection with the same session id."""
        session = await bench.session()
        messages, new = self._numbered(10), self._numbered(3, "new")
        session.send(messages[:5])
        await session.sink.until_delivered(5)
        async with bench.frozen() if bench.capabilities.freezes else nullcontext():
            session.send(messages[5:])
            await bench.break_off(session)
            await session.sink.until_closed()
        owed = messages[session.sink.delivered_count :]
        moved = await bench.move(session)
        moved.send([*owed, *new])
        await moved.sink.until_delivered(len(owed) + len(new))
        got = await moved.receive_until(new[-1])
        again = [*owed, *new]
        before, behind = got[: -len(again)], got[-len(again) :]
        assert behind == again, f"{again!r} should have arrived last, got {got!r}"
        assert before == messages[: len(before)], f"before the loss {before!r} arrived"
        delivered = len(messages) - len(owed)
        assert len(before) >= delivered, (
            f"{delivered} were reported delivered, and {len(before)} arrived"
        )
        if bench.capabilities.freezes:
            twice = before[delivered:]
            assert not twice, f"the connection itself has sent {twice!r} again"

    @contract_test("breaks")
    async def test_a_loss_before_the_start_is_told_afterwards(self, bench: Bench) -> None:
        """Like all Sink calls, `closed` waits for `start`."""
        session = await bench.connect()
        await bench.patiently(bench.harness.break_off(session.id), "the counterpart to break")
        await asyncio.sleep(0.05)  # room for a Sink call, which the sink would report
        session.sink.check()
        session.connection.start()
        session.send(self._numbered(1))
        close = await session.sink.until_closed()
        assert close.abnormal, f"the loss was reported as {close}, which ends the session"

    @contract_test("breaks", "shared_link")
    async def test_all_sessions_hear_of_a_shared_loss_in_one_turn(self, bench: Bench) -> None:
        """No message is suspected of the loss, and all sessions can move."""
        sessions = [await bench.session() for _ in range(5)]
        for session in sessions:
            session.send(self._numbered(1))
            await session.sink.until_delivered(1)
        turns = _Turns()
        for session in sessions:
            session.sink.on_closed = turns.note
        await bench.break_off(sessions[0])
        for number, session in enumerate(sessions, start=1):
            end = await session.sink.until_closed(
                f"session {number} of {len(sessions)} to hear that the shared link is lost"
            )
            assert end.meaning is EndMeaning.LOSS, (
                f"the loss of the shared link was reported as {end}: {end.meaning.value}"
            )
        assert turns.count == 1, f"the sessions heard of it in {turns.count} turns of the loop"
        for session in sessions:
            moved = await bench.move(session)
            messages = self._numbered(1, "moved")
            moved.send(messages)
            await moved.sink.until_delivered(1)
            assert (await moved.receive_until(messages[0]))[-1:] == messages

    @contract_test("refuses")
    async def test_what_the_counterpart_refuses_is_not_delivered(self, bench: Bench) -> None:
        """The session waits, or moves with its messages; no message is suspected."""
        session, other = await bench.session(), await bench.session()
        messages = self._numbered(1)
        async with bench.refusing():
            session.send(messages)
            await asyncio.sleep(0.3)  # room for a report that must not come
            assert session.sink.delivered_count == 0, (
                "a message was reported delivered that the counterpart has refused to store"
            )
        for each in (session, other):
            end = each.sink.end
            assert end is None or end.meaning is not EndMeaning.DEATH, (
                f"a refusal was reported as {end}, a death: the message is suspected, and ends its"
                " session when other backends refuse it too. Report 1013, or wait"
            )
        end = session.sink.end
        if end is None or end.meaning is EndMeaning.LOSS:
            if end is not None:
                session = await bench.move(session)
                session.send(messages)
            await session.sink.until_delivered(1)
            await session.expect_at_backend(messages)

    # Sessions that move

    @contract_test("moves")
    async def test_the_newest_connection_of_a_session_wins(self, bench: Bench) -> None:
        """The earlier connection is still open, and its end does not affect the new one."""
        old = await bench.session()
        await self._exchange(old, "old")
        new = await bench.move(old)
        await self._exchange(new, "before the old one's end")
        await old.close(1001, "moves", CloseCause.SESSION_MOVES)
        await self._exchange(new, "after it")
        assert not old.sink.messages[1:], (
            f"the earlier connection has heard {old.sink.messages[1:]!r}, which the application"
            " has sent when there was a newer one"
        )

    @contract_test("moves")
    async def test_a_session_may_come_back_while_its_connection_ends(self, bench: Bench) -> None:
        """`connect` does not wait for the end, and the end does not touch the new connection."""
        old = await bench.session()
        old.send(self._numbered(1, "old"))
        await old.expect_at_backend(self._numbered(1, "old"))
        old.connection.close(1001, "moves", CloseCause.SESSION_MOVES)
        new = await bench.move(old)
        await old.sink.until_closed()
        await self._exchange(new, "new")

    # Inside

    async def _exchange(self, session: BenchSession, text: str) -> None:
        """Sends a message, and gets a reply if the kind has replies."""
        sink = session.sink
        messages = self._numbered(1, text)
        delivered, heard = sink.delivered_count, len(sink.messages)
        session.send(messages)
        await session.expect_at_backend(messages)
        await sink.until_delivered(delivered + 1)
        if self.capabilities.replies:
            await session.reply(messages)
            await sink.until(lambda: len(sink.messages) > heard, f"a reply ({text})")
            assert sink.messages[heard:] == messages, f"got {sink.messages[heard:]!r} ({text})"


class _Turns:
    """Counts the turns of the event loop in which something happens."""

    def __init__(self) -> None:
        self.count = 0
        self._is_noted = False

    def note(self) -> None:
        """Counts this turn, once."""
        if not self._is_noted:
            self._is_noted = True
            self.count += 1
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._is_noted = False
