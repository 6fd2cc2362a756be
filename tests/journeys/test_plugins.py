"""Valves, listeners and gates of a plugin in a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol
from wsgw_ws import plugin as websocket_plugin

from wsgw_core.api import (
    Close,
    CloseSession,
    GateRegistry,
    Handshake,
    ListenerRegistry,
    Message,
    Options,
    PluginContext,
    Refusal,
    Session,
    ValveRegistry,
    hookimpl,
    per_session,
)

from .conftest import StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def valve_plugin(**valves: Callable[..., Any]) -> SimpleNamespace:
    """Make a plugin of valve factories; their options have a `word`."""

    class Word(Options):
        word: str = ""

    @hookimpl
    def wsgw_register_valves(registry: ValveRegistry) -> None:
        for kind, factory in valves.items():
            registry.add(kind, Word, per_session(factory))

    return SimpleNamespace(WSGW_API="1.0", wsgw_register_valves=wsgw_register_valves)


class Marking:
    """Writes its word behind each message, in either direction."""

    def __init__(self, options: Any, _session: Session) -> None:
        self._word = options.word

    def before_transmit(self, message: Message) -> Message | None:
        return Message.from_text(f"{message.text}>{self._word}")

    def after_receive(self, message: Message) -> Message | None:
        return Message.from_text(f"{message.text}<{self._word}")


class SlowMarking(Marking):
    """Does the same, but waits at messages with an even number of characters."""

    async def before_transmit(self, message: Message) -> Message | None:  # type: ignore[override]  # may be async
        await asyncio.sleep(0 if len(message.data) % 2 else 0.001)
        return super().before_transmit(message)

    async def after_receive(self, message: Message) -> Message | None:  # type: ignore[override]  # may be async
        await asyncio.sleep(0.001 if len(message.data) % 2 else 0)
        return super().after_receive(message)


class Strict:
    """Discards `discard`, ends the session at `end`, fails at `fail` and answers `ask` itself."""

    def __init__(self, _options: Any, session: Session) -> None:
        self._session = session

    def before_transmit(self, message: Message) -> Message | None:
        match message.text:
            case "discard":
                return None
            case "end":
                raise CloseSession(4321, "as asked")
            case "fail":
                raise LookupError("out of pigeons")
            case "ask":
                self._session.send_to_client(Message.from_text("answered by the valve"))
                return None
            case "move":
                self._session.fail_over()
        return message

    def after_receive(self, message: Message) -> Message | None:
        return message


@pytest.mark.parametrize("valve", [Marking, SlowMarking], ids=["plain", "async"])
async def test_valves_run_in_order_to_the_backend_and_reversed_to_the_client(
    start_gateway: StartGateway, backend: ScriptedBackend, valve: type[Marking]
) -> None:
    gateway = await start_gateway(
        backend,
        plugins=[valve_plugin(mark=valve)],
        valves=[{"kind": "mark", "word": "a"}, {"kind": "mark", "word": "b"}],
    )
    async with connect(gateway.url) as client:
        served = await backend.connection()
        numbers = range(0, 2000, 7)
        for number in numbers:
            await client.send(str(number))
            await served.send(str(number))
        assert [await served.recv() for _ in numbers] == [f"{number}>a>b" for number in numbers]
        assert [await client.recv() for _ in numbers] == [f"{number}<b<a" for number in numbers]


@pytest.mark.parametrize("valve", [Marking, SlowMarking], ids=["plain", "async"])
async def test_replayed_message_does_not_pass_the_valves_again(
    start_gateway: StartGateway, backend: ScriptedBackend, valve: type[Marking]
) -> None:
    gateway = await start_gateway(
        backend, plugins=[valve_plugin(mark=valve)], valves=[{"kind": "mark", "word": "a"}]
    )
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("x")
        assert await served.recv() == "x>a"
        served.transport.abort()
        moved = await backend.connection()
        assert await moved.recv() == "x>a"


@pytest.mark.parametrize("valve", [Marking, SlowMarking], ids=["plain", "async"])
async def test_close_waits_for_the_messages_in_the_valves(
    start_gateway: StartGateway, backend: ScriptedBackend, valve: type[Marking]
) -> None:
    gateway = await start_gateway(
        backend, plugins=[valve_plugin(mark=valve)], valves=[{"kind": "mark", "word": "a"}]
    )
    async with connect(gateway.url) as client:
        served = await backend.connection()
        for number in range(200):
            await client.send(str(number))
        await client.close(4000, "over")
        assert [await served.recv() for _ in range(200)] == [f"{n}>a" for n in range(200)]
        with pytest.raises(ConnectionClosed):
            await served.recv()

    assert (served.close_code, served.close_reason) == (4000, "over")


async def test_valve_can_discard_answer_and_end_the_session(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        backend, plugins=[valve_plugin(strict=Strict)], valves=[{"kind": "strict"}]
    )
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("discard")
        await client.send("ask")
        await client.send("pass")
        assert await served.recv() == "pass"
        assert await client.recv() == "answered by the valve"
        await client.send("end")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        await served.wait_closed()

    assert (client.close_code, client.close_reason) == (4321, "as asked")
    assert served.close_code is not None
    assert gateway.count("valve_discards") == 2


async def test_valve_can_move_its_session(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        backend, plugins=[valve_plugin(strict=Strict)], valves=[{"kind": "strict"}]
    )
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("move")
        moved = await backend.connection()
        assert await served.recv() == "move"
        await served.wait_closed()
        await client.send("next")
        assert await moved.recv() == "next"
        await moved.send("moved")
        assert await client.recv() == "moved"

    assert served.close_code == 1001


async def test_faulty_valve_ends_the_session_or_discards_as_configured(
    start_gateway: StartGateway, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = valve_plugin(strict=Strict)
    closing = await start_gateway(backend, plugins=[plugin], valves=[{"kind": "strict"}])
    forgiving = await start_gateway(
        backend, plugins=[plugin], valves=[{"kind": "strict", "on-error": "discard"}]
    )
    async with connect(closing.url) as client:
        await backend.connection()
        await client.send("fail")
        with pytest.raises(ConnectionClosed):
            await client.recv()
    async with connect(forgiving.url) as other:
        served = await backend.connection()
        await other.send("fail")
        await other.send("pass")
        assert await served.recv() == "pass"

    assert client.close_code == 1011
    assert closing.count("valve_errors") == forgiving.count("valve_errors") == 1
    assert caplog.text.count("out of pigeons") >= 2
    caplog.clear()  # these errors were expected


@dataclass
class Diary:
    """Records the events of a listener."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)

    def session_created(self, session: Session) -> None:
        self.entries.append(("created", session.path, session.backend_id))

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
        self.entries.append(("failed over", old, new, session.reconnects))

    def session_terminated(self, session: Session, close: Close) -> None:
        counts = session.messages_received, session.messages_sent
        self.entries.append(("terminated", close.code, close.reason, *counts))


async def test_listener_receives_the_events_of_each_session(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    diary = Diary()

    @hookimpl
    def wsgw_register_listeners(registry: ListenerRegistry) -> None:
        registry.add("diary", Options, lambda _options, _context: diary)

    plugin = SimpleNamespace(WSGW_API="1.0", wsgw_register_listeners=wsgw_register_listeners)
    gateway = await start_gateway(backend, plugins=[plugin], listeners=[{"kind": "diary"}])
    async with connect(gateway.url + "/room") as client:
        (await backend.connection()).transport.abort()
        moved = await backend.connection()
        await client.send("one")
        assert await moved.recv() == "one"
        await moved.send("two")
        await moved.send("three")
        assert await client.recv() == "two"
        assert await client.recv() == "three"
        await client.close(4000, "over")
        await moved.wait_closed()
    await until(lambda: not len(gateway.gateway.sessions))

    assert diary.entries == [
        ("created", "/room", backend.id),
        ("failed over", backend.id, backend.id, 1),
        ("terminated", 4000, "over", 1, 2),
    ]


def gate_plugin(admit: Callable[[Handshake], Any]) -> SimpleNamespace:
    """Make a plugin with one gate."""

    class Gate:
        def __init__(self, _options: Options, _context: PluginContext) -> None:
            self.admit = admit

    @hookimpl
    def wsgw_register_gates(registry: GateRegistry) -> None:
        registry.add("gate", Options, Gate)

    return SimpleNamespace(WSGW_API="1.0", wsgw_register_gates=wsgw_register_gates)


def only_with_a_ticket(handshake: Handshake) -> Refusal | None:
    headers = dict(handshake.headers)
    if headers.get("X-Ticket") != "valid":
        return Refusal(401, (("WWW-Authenticate", "Ticket"),), b"no ticket\n")
    kept = tuple(pair for pair in handshake.headers if pair[0] != "X-Ticket")
    handshake.headers = (*kept, ("X-User", "joe"))
    return None


async def only_with_a_ticket_after_a_while(handshake: Handshake) -> Refusal | None:
    await asyncio.sleep(0.01)
    return only_with_a_ticket(handshake)


@pytest.mark.parametrize("admit", [only_with_a_ticket, only_with_a_ticket_after_a_while])
async def test_gate_admits_refuses_and_changes_headers(
    start_gateway: StartGateway, backend: ScriptedBackend, admit: Callable[[Handshake], Any]
) -> None:
    gateway = await start_gateway(backend, plugins=[gate_plugin(admit)], gates=[{"kind": "gate"}])

    with pytest.raises(InvalidStatus) as refused:
        async with connect(gateway.url):
            pass
    async with connect(gateway.url, additional_headers={"X-Ticket": "valid"}):
        served = await backend.connection()

    response = refused.value.response
    assert (response.status_code, response.body) == (401, b"no ticket\n")
    assert response.headers["WWW-Authenticate"] == "Ticket"
    assert served.request is not None
    assert served.request.headers["X-User"] == "joe"
    assert "X-Ticket" not in served.request.headers
    assert backend.accepted == 1


async def test_gate_removes_a_token_and_adds_answer_headers(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    def admit(handshake: Handshake) -> None:
        handshake.path = handshake.path.replace("token=t", "")
        handshake.subprotocols = handshake.subprotocols[:1]
        handshake.answer_headers += (("X-Gate", "was here"), ("Upgrade", "nothing"))

    gateway = await start_gateway(backend, plugins=[gate_plugin(admit)], gates=[{"kind": "gate"}])

    offers = [Subprotocol("chat"), Subprotocol("token.t")]
    async with connect(f"{gateway.url}/room?token=t", subprotocols=offers) as client:
        served = await backend.connection()
        await client.send("hello")
        assert await served.recv() == "hello"

    assert served.request is not None
    assert served.request.path == "/room?"
    assert served.request.headers["Sec-WebSocket-Protocol"] == "chat"
    assert client.response is not None
    assert client.response.headers["X-Gate"] == "was here"
    assert client.response.headers.get_all("Upgrade") == ["websocket"]


async def test_faulty_gate_refuses_the_client_with_500(
    start_gateway: StartGateway, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_handshake: Handshake) -> Refusal | None:
        raise LookupError("out of pigeons")

    gateway = await start_gateway(backend, plugins=[gate_plugin(fail)], gates=[{"kind": "gate"}])

    with pytest.raises(InvalidStatus) as refused:
        async with connect(gateway.url):
            pass

    assert refused.value.response.status_code == 500
    assert "out of pigeons" in caplog.text
    assert b"pigeons" not in (refused.value.response.body or b"")
    assert backend.accepted == 0
    caplog.clear()  # this error was expected


async def test_installed_plugin_can_also_be_passed(start_gateway: StartGateway) -> None:
    gateway = await start_gateway("ws://127.0.0.1:1", plugins=[websocket_plugin])
    assert gateway.gateway.addresses
