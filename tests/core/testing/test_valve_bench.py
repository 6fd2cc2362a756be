"""ValveBench runs valves like a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from wsgw_core.api import (
    Close,
    CloseSession,
    Handshake,
    Hydration,
    HydrationRefused,
    Message,
    Options,
    PluginContext,
    Session,
    per_session,
)
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench


class Marks(Options):
    mark: str = "!"
    wait: float = 0.0


class Marking:
    """Marks the client's messages, answers `ask`, and ends the session at `end`."""

    def __init__(self, options: Marks, context: PluginContext) -> None:
        self.options = options
        self.log: list[str] = []
        self._marked = context.metrics.counter("marked", "Messages.")

    async def open(self) -> None:
        self.log.append("opened")

    async def close(self) -> None:
        self.log.append("closed")

    def for_session(self, session: Session) -> MarkingSession:
        return MarkingSession(self, session)

    def mark(self, message: Message) -> Message:
        self._marked.value += 1
        return Message.from_text(message.text + self.options.mark)


class MarkingSession:
    def __init__(self, valve: Marking, session: Session) -> None:
        self._valve = valve
        self._session = session

    async def before_transmit(self, message: Message) -> Message | None:
        await asyncio.sleep(self._valve.options.wait)
        if message.text == "end":
            raise CloseSession(4000, "as asked")
        if message.text == "ask":
            self._session.send_to_client(Message.from_text(f"answer at {self._session.path}"))
            return None
        return self._valve.mark(message)

    def after_receive(self, message: Message) -> Message | None:
        return None if message.data == b"secret" else message

    def hydrate(self) -> Sequence[Hydration]:
        return [Hydration(Message.from_text("login"))]

    @property
    def lasting_bytes(self) -> int:
        return 7


@pytest.mark.parametrize("wait", [0.0, 0.02])
async def test_messages_pass_the_valve_both_ways(wait: float) -> None:
    async with ValveBench(Marking, Marks(wait=wait), kind="marking") as bench:
        assert await bench.to_backend("A", "B") == ["A!", "B!"]
        assert await bench.to_backend("C") == ["C!"]
        assert await bench.to_client("secret", b"\x00") == [b"\x00"]
        assert samples(bench.context.metrics) == {"wsgw_marking_marked_total": 3}
        assert bench.lasting_bytes == 7
        assert bench.closed is None


async def test_injected_messages_are_recorded_at_the_other_end() -> None:
    asked = Handshake("/room", (), (), "192.0.2.1:1")
    async with ValveBench(Marking, Marks(), handshake=asked) as bench:
        assert await bench.to_backend("ask") == []
        assert bench.client.texts == ["answer at /room"]


@pytest.mark.parametrize("wait", [0.0, 0.02])
async def test_a_valve_can_end_the_session(wait: float) -> None:
    async with ValveBench(Marking, Marks(wait=wait)) as bench:
        assert await bench.to_backend("end") == []
        assert bench.closed == Close(4000, "as asked")


async def test_a_fault_ends_the_session_or_discards_the_message() -> None:
    async with ValveBench(Marking, Marks()) as bench:
        assert await bench.to_backend(b"\xff") == []  # is no text
        assert bench.closed == Close(1011, "internal error")
    async with ValveBench(Marking, Marks(), on_error="discard") as bench:
        assert await bench.to_backend(b"\xff", "A") == ["A!"]
        assert bench.closed is None


async def test_the_next_backend_gets_the_hydration() -> None:
    async with ValveBench(Marking, Marks()) as bench:
        await bench.to_backend("A")
        assert await bench.fail_over() == ["login"]
        assert await bench.to_backend("B") == ["B!"]
        assert await bench.fail_over() == ["login"]
        assert await bench.to_client("C") == ["C"]


class Login:
    """Prepares a new backend by a login, and then waits for the rules."""

    def __init__(self, options: Options, session: Session) -> None:
        pass

    def before_transmit(self, message: Message) -> Message | None:
        return message

    def after_receive(self, message: Message) -> Message | None:
        return message

    def hydrate(self) -> Sequence[Hydration]:
        return [
            Hydration(Message.from_text("login"), self._is_welcome),
            Hydration(Message.from_text("rules?"), lambda message: message.text == "rules"),
        ]

    def _is_welcome(self, message: Message) -> bool:
        if message.text == "no":
            raise HydrationRefused("no")
        return message.text == "welcome"


async def test_the_next_backend_can_answer_the_hydration() -> None:
    async with ValveBench(per_session(Login), Options()) as bench:
        assert await bench.fail_over() == ["login"]
        assert await bench.to_backend("A") == []
        assert await bench.to_client("welcome", "news") == ["news"]
        assert await bench.to_client("rules") == []
        assert await bench.to_backend("B") == ["B"]
        assert await bench.fail_over("welcome", "rules") == ["login", "rules?"]
        assert await bench.to_backend("C") == ["C"]
        assert bench.failed_hydrations == 0


async def test_a_backend_that_refuses_the_hydration_is_left() -> None:
    async with ValveBench(per_session(Login), Options()) as bench:
        assert await bench.fail_over("no") == ["login"]
        assert bench.failed_hydrations == 1


async def test_the_valve_is_opened_before_and_closed_after_the_session() -> None:
    bench = ValveBench(Marking, Marks())
    valve = bench.valve
    assert isinstance(valve, Marking)
    async with bench:
        assert valve.log == ["opened"]
    assert valve.log == ["opened", "closed"]
    assert len(asyncio.all_tasks()) == 1


async def test_a_valve_of_one_class_works_with_per_session() -> None:
    class Passing:
        def __init__(self, _options: Options, _session: Session) -> None:
            pass

        def before_transmit(self, message: Message) -> Message:
            return message

        def after_receive(self, message: Message) -> Message:
            return message

    async with ValveBench(per_session(Passing), Options()) as bench:
        assert await bench.to_backend("A") == ["A"]
        assert await bench.to_client("B") == ["B"]
