"""The optional protocols that the core recognises by their methods."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from wsgw_core.api import (
    Backend,
    BackendConnection,
    BackendControl,
    Clock,
    DialRequest,
    HoldingConnection,
    HydratingValve,
    Hydration,
    LingeringBackend,
    Message,
    MessageValve,
    NumberedConnection,
    Options,
    OrderedConnection,
    PingableConnection,
    PluginContext,
    PluginLife,
    ReplyBuffers,
    Session,
    SessionTrackingBackend,
    Sink,
    Valve,
    WindowedConnection,
)
from wsgw_core.testing.context import make_context
from wsgw_core.testing.fakes import (
    FakeBackend,
    FakeConnection,
    FakeControl,
    FakeNumberedConnection,
)
from wsgw_core.testing.recording_sink import RecordingSink
from wsgw_core.testing.valve_bench import ValveBench
from wsgw_core.testing.virtual_clock import on_virtual_clock

REQUEST = DialRequest("s1", "/")


class Ordered(OrderedConnection):
    async def transmit(self, message: Message) -> None:
        """Nowhere."""


class Windowed(WindowedConnection):
    def write(self, number: int, message: Message) -> None:
        """Nowhere."""


@pytest.mark.parametrize(
    ("name", "numbered", "pingable", "holding"),
    [
        ("ordered", False, False, True),
        ("windowed", True, False, True),
        ("fake", False, True, False),
        ("numbered fake", True, True, False),
    ],
)
def test_the_methods_of_a_connection_decide_its_protocols(
    name: str, numbered: bool, pingable: bool, holding: bool
) -> None:
    @on_virtual_clock
    async def scenario() -> None:
        context, sink = make_context(), RecordingSink()
        made: dict[str, BackendConnection] = {
            "ordered": Ordered(sink, context),
            "windowed": Windowed("s1", sink, context, ReplyBuffers[None](context)),
            "fake": FakeConnection(REQUEST, sink),
            "numbered fake": FakeNumberedConnection(REQUEST, sink),
        }
        connection = made[name]
        assert isinstance(connection, BackendConnection)
        assert isinstance(connection, NumberedConnection) is numbered
        assert isinstance(connection, PingableConnection) is pingable
        assert isinstance(connection, HoldingConnection) is holding

    scenario()


@on_virtual_clock
async def test_a_backend_with_session_ended_tracks_sessions() -> None:
    class Plain:
        open = connect = probe = close = FakeBackend.open

    assert isinstance(FakeBackend(), SessionTrackingBackend)
    assert isinstance(Plain(), Backend)
    assert not isinstance(Plain(), SessionTrackingBackend)


@on_virtual_clock
async def test_a_backend_with_linger_lingers() -> None:
    class Lingering(FakeBackend):
        async def linger(self) -> None:
            """Not at all."""

    assert isinstance(Lingering(), LingeringBackend)
    assert not isinstance(FakeBackend(), LingeringBackend)


@on_virtual_clock
async def test_an_object_with_the_methods_of_a_sink_is_one() -> None:
    sink: Sink = RecordingSink()
    assert isinstance(sink, Sink)
    assert not isinstance(FakeConnection(REQUEST, sink), Sink)


@on_virtual_clock
async def test_a_context_hands_its_calls_to_its_control() -> None:
    control = FakeControl()
    as_the_core_has_it: BackendControl = control
    context = make_context(control=as_the_core_has_it)
    context.writable(False)
    assert not control.is_writable
    context.down("lost")
    assert control.losses == ["lost"]
    context.up()
    assert not control.is_down


@on_virtual_clock
async def test_an_event_loop_is_a_clock() -> None:
    clock: Clock = asyncio.get_running_loop()
    rung: list[float] = []
    clock.call_later(5, lambda: rung.append(clock.time()))
    await asyncio.sleep(6)
    assert rung == [5.0]


class Greeting:
    """A valve that prepares each backend, and records its life."""

    def __init__(self, _options: Options, context: PluginContext) -> None:
        self.context = context
        self.lived: list[str] = []

    async def open(self) -> None:
        self.lived.append("open")

    async def close(self) -> None:
        self.lived.append("close")

    def for_session(self, _session: Session) -> MessageValve:
        return self

    def before_transmit(self, message: Message) -> Message:
        return message

    def after_receive(self, message: Message) -> Message:
        return message

    def hydrate(self) -> Sequence[Hydration]:
        return [Hydration(Message.from_text("good morning"))]


async def test_a_valve_is_opened_prepares_each_backend_and_is_closed() -> None:
    bench = ValveBench(Greeting, Options())
    valve = bench.valve
    assert isinstance(valve, Greeting)
    as_the_core_has_it: tuple[Valve, PluginLife, HydratingValve] = (valve, valve, valve)
    async with bench:
        assert await bench.to_backend("one") == ["one"]
        assert await bench.fail_over() == ["good morning"]
        assert valve.lived == ["open"]
    assert valve.lived == ["open", "close"]
    assert all(each is valve for each in as_the_core_has_it)
