"""Valves, gates and listeners of a route."""

from __future__ import annotations

import logging
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect

from wsgw_core.api import (
    Close,
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
from .routed import shared, status
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


class Words(Options):
    word: str = ""


class Marking:
    """Writes its word behind each message of the client."""

    def __init__(self, options: Words, _session: Session) -> None:
        self._word = options.word

    def before_transmit(self, message: Message) -> Message:
        return Message.from_text(f"{message.text}>{self._word}")

    def after_receive(self, message: Message) -> Message:
        return message


class Refusing:
    """Refuses clients whose path contains the word."""

    def __init__(self, options: Words, _context: PluginContext) -> None:
        self._word = options.word

    def admit(self, handshake: Handshake) -> Refusal | None:
        return Refusal(403, (), b"") if self._word in handshake.path else None


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    registry.add("marking", Words, per_session(Marking))


@hookimpl
def wsgw_register_gates(registry: GateRegistry) -> None:
    registry.add("refusing", Words, Refusing)


PLUGIN = SimpleNamespace(
    WSGW_API="1.0",
    wsgw_register_valves=wsgw_register_valves,
    wsgw_register_gates=wsgw_register_gates,
)


def marking(word: str) -> dict[str, str]:
    return {"kind": "marking", "word": word}


def refusing(word: str) -> dict[str, str]:
    return {"kind": "refusing", "word": word}


class TestValvesAndGates:
    async def test_valves_of_a_route_replace_the_valves_of_the_gateway(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            blue,
            plugins=[PLUGIN],
            valves=[marking("top")],
            routes=[
                shared("own", valves=[marking("a"), marking("b")]),
                shared("none", valves=[]),
                {"id": "rest"},
            ],
        )
        for target, text in {"/own": "x>a>b", "/none": "x", "/other": "x>top"}.items():
            async with connect(gateway.url + target) as client:
                await client.send("x")
                assert await (await blue.connection()).recv() == text

    async def test_gates_of_a_route_replace_the_gates_of_the_gateway(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            blue,
            plugins=[PLUGIN],
            gates=[refusing("bad")],
            routes=[
                shared("own", gates=[refusing("worse")]),
                shared("none", gates=[]),
                {"id": "r"},
            ],
        )
        for target in ("/own/worse", "/other/bad"):
            assert await status(gateway, target) == HTTPStatus.FORBIDDEN
        for target in ("/own/bad", "/none/bad/worse", "/other/worse"):
            async with connect(gateway.url + target):
                await blue.connection()


class Asking:
    """A gate, valves and a listener that record the route of each client."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def admit(self, handshake: Handshake) -> Refusal | None:
        self.told.append(("gate", handshake.route))
        return None

    def valve(self, _options: Options, session: Session) -> Marking:
        self.told.append(("valve", session.route))
        return Marking(Words(word=session.route), session)

    def session_created(self, session: Session) -> None:
        self.told.append(("created", session.route))

    def session_failed_over(self, session: Session, _old: str | None, _new: str) -> None:
        self.told.append(("moved", session.route))

    def session_terminated(self, session: Session, _close: Close) -> None:
        self.told.append(("terminated", session.route))

    @hookimpl
    def wsgw_register_gates(self, registry: GateRegistry) -> None:
        registry.add("asking", Options, lambda _options, _context: self)

    @hookimpl
    def wsgw_register_listeners(self, registry: ListenerRegistry) -> None:
        registry.add("asking", Options, lambda _options, _context: self)

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("asking", Options, per_session(self.valve))

    WSGW_API = "1.0"


class TestPlugins:
    """One plugin entry for all routes sees which route each client uses."""

    async def test_plugins_see_the_route_of_each_client(
        self,
        start_gateway: StartGateway,
        blue: ScriptedBackend,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        asking = Asking()
        kind = [{"kind": "asking"}]
        gateway = await start_gateway(
            blue,
            plugins=[asking],
            valves=kind,
            gates=kind,
            listeners=kind,
            routes=[shared("first"), shared("second")],
        )
        caplog.set_level(logging.INFO, "wsgw")
        for route in ("first", "second"):
            asking.told.clear()
            async with connect(f"{gateway.url}/{route}/x") as client:
                served = await blue.connection()
                await client.send("x")
                assert await served.recv() == f"x>{route}"
                [session] = gateway.gateway.sessions
                session.fail_over()
                await blue.connection()
                await until(lambda: session.reconnects == 1)  # noqa: B023 - called at once
            await until(lambda: not len(gateway.gateway.sessions))
            told = ["gate", "valve", "created", "moved", "terminated"]
            assert asking.told == [(each, route) for each in told]
            [opened] = [each for each in caplog.records if "opened at" in each.getMessage()]
            assert opened.getMessage().endswith(f"by route {route}")
            assert {vars(each).get("route") for each in caplog.records} <= {route, None}
            caplog.clear()

    async def test_plugins_see_no_route_when_none_is_configured(
        self, start_gateway: StartGateway, blue: ScriptedBackend
    ) -> None:
        asking = Asking()
        kind = [{"kind": "asking"}]
        gateway = await start_gateway(
            blue, plugins=[asking], valves=kind, gates=kind, listeners=kind
        )
        async with connect(gateway.url):
            await blue.connection()
        await until(lambda: not len(gateway.gateway.sessions))
        assert {route for _, route in asking.told} == {""}
