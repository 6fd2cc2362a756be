"""RegisteredPlugin makes objects through a plugin's hooks and checked options."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import Field, SecretStr

from wsgw_core.api import (
    BackendContext,
    BackendRegistry,
    Close,
    ConfigurationError,
    Duration,
    GateRegistry,
    Handshake,
    ListenerRegistry,
    Message,
    Options,
    PluginContext,
    PluginError,
    Refusal,
    Session,
    ValveRegistry,
    hookimpl,
    per_session,
)
from wsgw_core.testing.context import make_context, make_plugin_context
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.registered_plugin import RegisteredPlugin
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench
from wsgw_core.testing.virtual_clock import on_virtual_clock


class Token(Options):
    the_token: SecretStr = Field(min_length=4)
    wait: Duration = 0.0


class Place(Options):
    url: str


class Gate:
    def __init__(self, options: Token, context: PluginContext) -> None:
        self.options = options
        self.asked = context.metrics.counter("asked", "Handshakes.")

    def admit(self, _handshake: Handshake) -> Refusal | None:
        self.asked.value += 1
        return Refusal(403, body=self.options.the_token.get_secret_value().encode())


class Doubling:
    def __init__(self, _options: Options, _session: Session) -> None: ...

    def before_transmit(self, message: Message) -> Message:
        return Message(message.kind, message.data * 2)

    def after_receive(self, message: Message) -> Message:
        return message


class Listener:
    def __init__(self, options: Token, _context: PluginContext) -> None:
        self.wait = options.wait

    def session_created(self, session: Session) -> None: ...

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None: ...

    def session_terminated(self, session: Session, close: Close) -> None: ...


class Module:
    WSGW_API = "1.0"
    __name__ = "wsgw_all"

    @hookimpl
    def wsgw_register_gates(self, registry: GateRegistry) -> None:
        registry.add("all", Token, Gate)

    @hookimpl
    def wsgw_register_listeners(self, registry: ListenerRegistry) -> None:
        registry.add("all", Token, Listener)

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("all", Options, per_session(Doubling))

    @hookimpl
    def wsgw_register_backends(self, registry: BackendRegistry) -> None:
        def make(options: Place, _context: BackendContext) -> FakeBackend:
            return FakeBackend(options.url)

        registry.add("all", Place, make)


@on_virtual_clock
async def test_a_gate_gets_options_as_a_file_holds_them_and_its_metrics(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    context = make_plugin_context("all")
    gate = RegisteredPlugin(Module()).gate(
        "all", {"the-token-file": str(tmp_path / "token")}, context
    )
    assert gate.admit(Handshake("/", (), (), "")) == Refusal(403, body=b"secret")
    assert samples(context.metrics) == {"wsgw_all_asked_total": 1}


@on_virtual_clock
async def test_a_listener_is_made_with_durations_in_human_notation() -> None:
    listener = RegisteredPlugin(Module()).listener(
        "all", {"the-token": "secret", "wait": "2m"}, make_plugin_context()
    )
    assert isinstance(listener, Listener)
    assert listener.wait == 120


@on_virtual_clock
async def test_a_backend_is_made_by_its_kind() -> None:
    backend = RegisteredPlugin(Module()).backend("all", {"url": "all://a:1"}, make_context())
    assert isinstance(backend, FakeBackend)
    assert backend.backend_id == "all://a:1"


@on_virtual_clock
async def test_a_valve_is_made_alone_or_in_a_bench() -> None:
    module = Module()
    valve = RegisteredPlugin(module).valve("all", {}, make_plugin_context())
    assert isinstance(valve.for_session(FakeSession()), Doubling)
    async with ValveBench.of(module, "all", {"on-error": "discard"}) as bench:
        assert await bench.to_backend("a", "b") == ["aa", "bb"]


@on_virtual_clock
async def test_wrong_options_raise_the_operators_error() -> None:
    plugin = RegisteredPlugin(Module())
    with pytest.raises(ConfigurationError, match=r"gates\[0\].the-token: .*at least 4"):
        plugin.gate("all", {"the-token": "abc"}, make_plugin_context())
    with pytest.raises(ConfigurationError, match="tokn: unknown key"):
        plugin.listener("all", {"tokn": "x"}, make_plugin_context())


@on_virtual_clock
async def test_an_unregistered_kind_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no plugin registers valve kind 'al'"):
        RegisteredPlugin(Module()).valve("al", {}, make_plugin_context())


def test_a_module_that_breaks_the_contract_is_refused() -> None:
    with pytest.raises(PluginError, match="wsgw_nothing: does not state WSGW_API"):
        RegisteredPlugin(SimpleNamespace(__name__="wsgw_nothing"))
