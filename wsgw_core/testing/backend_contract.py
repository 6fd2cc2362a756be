"""The tests that every kind of backend must pass.

The author of a kind writes a harness (see BackendHarness) and subclasses the suite:

    class TestParrot(BackendContract):
        capabilities = Capabilities(freezes=False)

        @pytest.fixture
        def harness(self) -> BackendHarness:
            return ParrotHarness()

Each inherited test starts the harness in an event loop of its own, opens a backend on it, and
checks at its end that the contract was kept and no task is left. A test may be overridden only
to mark it with `pytest.mark.xfail(reason=...)`; what a kind cannot do belongs in `capabilities`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wsgw_core.api import BINARY, TEXT, BackendUnavailable, Close, Limits, Message

from .backend_harness import BackendHarness, Capabilities
from .context import make_context
from .contract_bench import Bench, BenchSession
from .contract_suite import ContractSuite, contract_test
from .descriptors import open_descriptors
from .recording_sink import RecordingSink

__all__ = ["BackendContract", "BackendHarness", "Capabilities"]


class BackendContract(ContractSuite):
    """Subclass this in a test module and give it a fixture `harness`; see the module's text."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that silently replaces or removes a test."""
        super().__init_subclass__(**kwargs)
        for name, inherited in vars(BackendContract).items():
            if not name.startswith("test_") or getattr(cls, name) is inherited:
                continue
            marks = getattr(getattr(cls, name), "pytestmark", [])
            if not any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides a test of the contract without"
                    " pytest.mark.xfail(reason=...)"
                )

    # Opening, dialling, closing

    @contract_test()
    async def test_a_dial_without_offers_chooses_no_subprotocol(self, bench: Bench) -> None:
        """`subprotocol` and `headers` can be read before `start`."""
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
        """`connect` and `probe` raise BackendUnavailable, and the Sink hears nothing."""
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
        """As after a failed `open`."""
        backend = bench.harness.make_backend(make_context())
        await bench.patiently(backend.close(), "Backend.close() to return")

    @contract_test()
    async def test_a_cancelled_dial_leaves_nothing(self, bench: Bench) -> None:
        """Wherever `connect` was when it was cancelled: no task, no descriptor, no Sink call."""
        await self._dial_and_cancel(bench)  # what is made once and for all is made here
        tasks, descriptors = asyncio.all_tasks(), open_descriptors()
        await self._dial_and_cancel(bench)
        await bench.until_tasks_are(tasks)
        await bench.until_descriptors_are(descriptors)

    @contract_test()
    async def test_nothing_is_left_of_a_closed_backend(self, bench: Bench) -> None:
        """Whichever side ended its connections: no task, no descriptor."""
        await self._live_and_close(bench)  # what is made once and for all is made here
        tasks, descriptors = asyncio.all_tasks(), open_descriptors()
        await self._live_and_close(bench)
        await bench.until_tasks_are(tasks)
        await bench.until_descriptors_are(descriptors)

    # Messages towards the backend

    @contract_test()
    async def test_messages_arrive_as_they_were_in_order(self, bench: Bench) -> None:
        """Text and binary, without content and large."""
        messages = self._samples() + self._numbered(200)
        session = await bench.session()
        session.send(messages)
        await session.expect_at_backend(messages)

    @contract_test()
    async def test_every_message_is_reported_delivered(self, bench: Bench) -> None:
        """In the end, and each only once."""
        messages = self._samples() + self._numbered(200)
        session = await bench.session()
        session.send(messages)
        await session.sink.until_delivered(len(messages))
        await session.expect_at_backend(messages)

    @contract_test()
    async def test_a_single_message_is_reported_delivered(self, bench: Bench) -> None:
        """Without another one that pushes it."""
        session = await bench.session()
        for count, message in enumerate(self._numbered(3), start=1):
            session.send([message])
            await session.sink.until_delivered(count)
            await session.expect_at_backend([message])

    @contract_test("freezes")
    async def test_nothing_is_delivered_before_the_backend_has_it(self, bench: Bench) -> None:
        """A counterpart that takes nothing gets no message reported as delivered."""
        session = await bench.session()
        await bench.harness.freeze()
        messages = self._numbered(3)
        session.send(messages)
        await asyncio.sleep(0.3)  # room for what must not happen; no event tells that it did not
        assert session.sink.delivered_count == 0, "reported delivered, but nobody has it"
        await bench.harness.thaw()
        await session.sink.until_delivered(len(messages))
        await session.expect_at_backend(messages)

    @contract_test("freezes")
    async def test_a_slow_backend_makes_the_connection_unwritable(self, bench: Bench) -> None:
        """And writable again when it goes on; nothing is lost."""
        session = await bench.session()
        await bench.harness.freeze()
        messages: list[Message] = []
        while session.sink.is_writable:
            assert len(messages) < 1024, "64 MiB are waiting and the connection is still writable"
            messages.append(self._large(len(messages)))
            session.send(messages[-1:])
            await asyncio.sleep(0)
        await bench.harness.thaw()
        await session.expect_at_backend(messages)
        await session.sink.until_writable(True)
        await session.sink.until_delivered(len(messages))

    @contract_test()
    async def test_a_hundred_sessions_do_not_mix(self, bench: Bench) -> None:
        """Each has its own messages, in order, in both directions, and hears of each delivery."""
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

    # Messages from the backend

    @contract_test("replies")
    async def test_nothing_is_heard_before_the_start(self, bench: Bench) -> None:
        """What arrives before `start` waits, and comes then in order."""
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
        """Text and binary, without content and large."""
        messages = self._samples() + self._numbered(200)
        session = await bench.session()
        await session.reply(messages)
        await session.expect_replies(messages)

    @contract_test("replies", "silent_while_paused")
    async def test_a_paused_connection_is_silent_soon(self, bench: Bench) -> None:
        """However much the application sends, and as long as another session gets all of it."""
        paused, other = await bench.session(), await bench.session()
        messages = self._pressing(bench)
        paused.connection.pause()
        sending = asyncio.gather(paused.reply(messages), other.reply(messages))
        try:
            await other.sink.until_messages(len(messages))
            heard = len(paused.sink.messages)
            assert heard < len(messages) // 2, f"{heard} messages came in spite of pause()"
            paused.connection.resume()
            await sending
        finally:
            sending.cancel()

    @contract_test("replies", "keeps_while_paused")
    async def test_nothing_is_lost_while_paused(self, bench: Bench) -> None:
        """What the application has sent meanwhile comes after `resume`, in order."""
        paused, other = await bench.session(), await bench.session()
        messages = self._pressing(bench)
        paused.connection.pause()
        sending = asyncio.gather(paused.reply(messages), other.reply(messages))
        try:
            await other.sink.until_messages(len(messages))
            paused.connection.resume()
            await sending
        finally:
            sending.cancel()
        await paused.expect_replies(messages)

    @contract_test("replies")
    async def test_pausing_while_a_message_is_passed_on(self, bench: Bench) -> None:
        """`pause` and `resume` may be called from inside `Sink.message`; nothing is lost."""
        session = await bench.session()
        messages = self._numbered(100)
        loop = asyncio.get_running_loop()

        def hold_for_a_moment(message: Message) -> None:
            if message in messages[::5]:
                session.connection.pause()
                loop.call_later(0.001, session.connection.resume)

        session.sink.on_message = hold_for_a_moment
        await session.reply(messages)
        await session.expect_replies(messages)

    @contract_test("replies")
    async def test_a_client_that_is_gone_is_no_fault(self, bench: Bench) -> None:
        """`Sink.message` answers False, and the connection can still be closed."""
        session = await bench.session()
        session.sink.client_is_there = False
        await session.reply(self._numbered(3))
        await session.sink.until_messages(1)
        await session.close(1001, "the client is gone")

    # The end

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
        """The time that a close takes is bounded."""
        session = await bench.session()
        await bench.harness.freeze()
        session.send(self._numbered(3))
        session.connection.close(1000, "done")
        await session.sink.until_closed()
        await bench.harness.thaw()

    @contract_test()
    async def test_a_connection_can_be_closed_without_a_start(self, bench: Bench) -> None:
        """As when the client is gone before the dial is over; nothing is left of it."""
        session = await bench.connect()
        session.connection.close(1001, "the client is gone")
        session.connection.close(1001, "again")

    @contract_test()
    async def test_messages_after_the_end_are_ignored(self, bench: Bench) -> None:
        """Without an exception and without a Sink call."""
        session = await bench.session()
        await session.close()
        session.send(self._numbered(3))
        await asyncio.sleep(0.05)  # room for a Sink call, which the sink would report

    @contract_test("ends")
    async def test_the_backends_close_arrives_with_code_and_reason(self, bench: Bench) -> None:
        """And is not abnormal; the replies before it come first."""
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
        """That is one end, and an orderly one."""
        session = await bench.session()
        session.connection.close(1000, "done")
        await bench.patiently(bench.harness.end(session.id, 4001, "enough"), "the backend to end")
        close = await session.sink.until_closed()
        assert not close.abnormal, f"an end from both sides was reported as {close}"
        await asyncio.sleep(0.05)  # room for a second `closed`, which the sink would report

    @contract_test("breaks")
    async def test_a_lost_backend_is_abnormal_and_ends_once(self, bench: Bench) -> None:
        """The session must go on elsewhere, so it must hear of the loss."""
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
        """Otherwise nobody would send it again."""
        session = await bench.session()
        await bench.patiently(bench.harness.break_off(session.id), "the counterpart to break")
        session.send(self._numbered(3))
        await session.sink.until_closed()
        assert session.sink.delivered_count == 0, "reported delivered, but the backend was lost"

    @contract_test("breaks")
    async def test_what_was_not_delivered_is_sent_again_by_the_session_alone(
        self, bench: Bench
    ) -> None:
        """On a new connection with the same session id, behind what the application had got."""
        session = await bench.session()
        messages, new = self._numbered(10), self._numbered(3, "new")
        session.send(messages[:5])
        await session.sink.until_delivered(5)
        if bench.capabilities.freezes:
            await bench.harness.freeze()
        session.send(messages[5:])
        await bench.break_off(session)
        await session.sink.until_closed()
        if bench.capabilities.freezes:
            await bench.harness.thaw()
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

    @contract_test("breaks")
    async def test_a_loss_before_the_start_is_told_afterwards(self, bench: Bench) -> None:
        """`closed` waits for `start` like everything else."""
        session = await bench.connect()
        await bench.patiently(bench.harness.break_off(session.id), "the counterpart to break")
        await asyncio.sleep(0.05)  # room for a Sink call, which the sink would report
        session.sink.check()
        session.connection.start()
        session.send(self._numbered(1))
        close = await session.sink.until_closed()
        assert close.abnormal, f"the loss was reported as {close}, which ends the session"

    # Inside

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

    def _pressing(self, bench: Bench) -> list[Message]:
        """More than the buffers of one socket hold, or what all reply buffers do."""
        if bench.capabilities.shared_link:
            return [self._message(f"{number:08}".encode() * 128) for number in range(64)]
        return [self._large(number) for number in range(256)]

    def _large(self, number: int) -> Message:
        return self._message(f"{number:08}".encode() * 8192)

    def _message(self, data: bytes) -> Message:
        return Message(TEXT if self.capabilities.text else BINARY, data)

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
