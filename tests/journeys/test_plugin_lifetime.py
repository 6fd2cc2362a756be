"""The lifetime of plugin objects when a gateway with clients reloads."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect

from wsgw_core.api import (
    GateRegistry,
    Handshake,
    Message,
    Options,
    PluginContext,
    Refusal,
    Session,
    ValveRegistry,
    hookimpl,
)

from .conftest import StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


class Word(Options):
    word: str = ""


class Tracked:
    """Notes when objects are opened and closed, by their words."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.at_the_gate = asyncio.Event()
        self.gate_opens = asyncio.Event()
        tracked = self

        class Kept:
            def __init__(self, options: Word, context: PluginContext) -> None:
                self.word = options.word
                self.marked = context.metrics.counter("marked", "Messages.", "word")

            async def open(self) -> None:
                tracked.opened[self.word] += 1

            async def close(self) -> None:
                tracked.closed[self.word] += 1

        class Marking(Kept):
            def for_session(self, _session: Session) -> Marking:
                return self

            def before_transmit(self, message: Message) -> Message:
                assert not tracked.closed[self.word], "used after its close"
                self.marked.labels(self.word).value += 1
                return Message.from_text(f"{message.text}>{self.word}")

            def after_receive(self, message: Message) -> Message:
                return message

        class Waiting(Kept):
            async def admit(self, _handshake: Handshake) -> Refusal | None:
                tracked.at_the_gate.set()
                await tracked.gate_opens.wait()
                assert not tracked.closed[self.word], "used after its close"
                return None

        @hookimpl
        def wsgw_register_valves(registry: ValveRegistry) -> None:
            registry.add("marking", Word, Marking)

        @hookimpl
        def wsgw_register_gates(registry: GateRegistry) -> None:
            registry.add("waiting", Word, Waiting)

        self.plugin = SimpleNamespace(
            WSGW_API="1.0",
            wsgw_register_valves=wsgw_register_valves,
            wsgw_register_gates=wsgw_register_gates,
        )


def configuration(backend: ScriptedBackend, *words: str, **sections: Any) -> dict[str, Any]:
    return {
        "server": {"frontend": {"address": "127.0.0.1:0"}},
        "upstream": {"backends": [{"url": backend.url}]},
        "valves": [{"kind": "marking", "word": word} for word in words],
        **sections,
    }


async def test_session_keeps_its_plugin_objects_over_reloads(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    tracked = Tracked()
    gateway = await start_gateway(
        backend,
        plugins=[tracked.plugin],
        valves=[{"kind": "marking", "word": each} for each in ("same", "old")],
    )
    async with connect(gateway.url) as before:
        served = await backend.connection()
        for _ in range(3):
            await gateway.reload(configuration(backend, "new", "same"))
        async with connect(gateway.url) as after:
            second = await backend.connection()
            await before.send("A")
            await after.send("B")
            assert await served.recv() == "A>same>old"
            assert await second.recv() == "B>new>same"
        await asyncio.sleep(1.5)
        assert not tracked.closed
    await until(lambda: tracked.closed == {"old": 1}, "the close of what was replaced")
    assert tracked.opened == {"same": 1, "old": 1, "new": 1}
    assert gateway.count("marking_marked") == 4


async def test_gate_is_not_closed_while_it_decides(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    tracked = Tracked()
    gateway = await start_gateway(
        backend, plugins=[tracked.plugin], gates=[{"kind": "waiting", "word": "gate"}]
    )
    client = asyncio.create_task(connect(gateway.url).__aenter__())
    await tracked.at_the_gate.wait()
    await gateway.reload(configuration(backend))
    await asyncio.sleep(1.5)
    assert not tracked.closed
    tracked.gate_opens.set()
    await (await client).close()
    await until(lambda: tracked.closed == {"gate": 1}, "the close of the gate")


async def test_all_plugin_objects_are_closed_when_the_gateway_stops(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    tracked = Tracked()
    gateway = await start_gateway(
        backend, plugins=[tracked.plugin], valves=[{"kind": "marking", "word": "a"}]
    )
    async with connect(gateway.url):
        await backend.connection()
        await gateway.reload(configuration(backend, "b"))
        await gateway.gateway.stop()
    assert tracked.opened == tracked.closed == {"a": 1, "b": 1}
