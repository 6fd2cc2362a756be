"""The names that plugins may import; a change of these lists changes the contract.

The reference is compared with them in tests/docs.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgw_core import api, testing
from wsgw_core.api import hookspecs

CONTRACT = [
    "API_VERSION",
    "AddressInfo",
    "BINARY",
    "Backend",
    "BackendConnection",
    "BackendContext",
    "BackendControl",
    "BackendDeclined",
    "BackendError",
    "BackendRegistry",
    "BackendUnavailable",
    "BackendUnreachable",
    "Candidate",
    "ClientTls",
    "Clock",
    "Close",
    "CloseCause",
    "CloseCode",
    "CloseSession",
    "ConfigurationError",
    "Counter",
    "DialRequest",
    "Duration",
    "ENTRY_POINT_GROUP",
    "EndMeaning",
    "FileName",
    "GateRegistry",
    "GatewayError",
    "Goodbye",
    "Handshake",
    "HandshakeField",
    "HandshakeGate",
    "HeaderName",
    "HeaderValue",
    "Headers",
    "Histogram",
    "HoldingConnection",
    "HoldingValve",
    "HydratingValve",
    "Hydration",
    "HydrationRefused",
    "Labelled",
    "Limits",
    "LingeringBackend",
    "ListenerRegistry",
    "Message",
    "MessageKind",
    "MessageValve",
    "Metrics",
    "NumberedConnection",
    "Options",
    "OrderedConnection",
    "OutOfResources",
    "PathPattern",
    "PingableConnection",
    "PlainText",
    "PlayedBackend",
    "PluginContext",
    "PluginError",
    "PluginLife",
    "Policy",
    "PolicyRegistry",
    "RareWarning",
    "ReadBatch",
    "Refusal",
    "ReplyBuffers",
    "ReplyExpected",
    "ReplyOutcome",
    "Resolver",
    "SentOnce",
    "Session",
    "SessionListener",
    "SessionTrackingBackend",
    "SharedLink",
    "Sink",
    "Size",
    "Subprotocols",
    "TEXT",
    "Template",
    "TextOption",
    "TlsClientOptions",
    "Turns",
    "UnusableAnswer",
    "UrlTemplate",
    "Valve",
    "ValveRegistry",
    "WatchedFile",
    "WindowedConnection",
    "hookimpl",
    "normal_path",
    "per_session",
    "read_bytes",
    "read_parsed",
    "run_in_thread",
    "tls_error_text",
    "unavailable",
    "without_headers",
]

KIT = {
    "backend_contract": ["BackendContract", "BackendHarness", "Capabilities"],
    "backend_harness": ["BackendHarness", "Capabilities", "Inbox"],
    "broker_proxy": ["BrokerProxy"],
    "context": ["make_context", "make_plugin_context"],
    "fake_session": ["FakeSession"],
    "fakes": [
        "Accept",
        "Answer",
        "Decline",
        "FakeBackend",
        "FakeClient",
        "FakeConnection",
        "FakeControl",
        "FakeNumberedConnection",
        "Fault",
        "Hang",
        "Unavailable",
        "as_message",
    ],
    "recording_sink": ["RecordingSink", "WatchedConnection"],
    "registered_plugin": ["RegisteredPlugin"],
    "running_gateway": ["RunningGateway", "running_gateway"],
    "samples": ["samples"],
    "valve_bench": ["ValveBench"],
    "virtual_clock": [
        "DeadlockError",
        "SpinError",
        "VirtualClockLoop",
        "idle",
        "on_virtual_clock",
        "run_virtual",
    ],
}

HOOKS = [
    "wsgw_register_backends",
    "wsgw_register_gates",
    "wsgw_register_listeners",
    "wsgw_register_policies",
    "wsgw_register_valves",
]


def kit() -> dict[str, list[str]]:
    """Returns the public names of the testing kit: those in each module's `__all__`."""
    found = {}
    for module in pkgutil.iter_modules(testing.__path__):
        names = getattr(importlib.import_module(f"wsgw_core.testing.{module.name}"), "__all__", [])
        if names:
            found[module.name] = sorted(names)
    return found


def public_things() -> Iterator[tuple[str, object]]:
    """Yields the public classes, functions and hooks."""
    for name in api.__all__:
        yield name, getattr(api, name)
    for module, names in kit().items():
        for name in names:
            yield name, getattr(importlib.import_module(f"wsgw_core.testing.{module}"), name)
    for name in HOOKS:
        yield name, getattr(hookspecs, name)


def test_the_contract_exports_exactly_these_names() -> None:
    assert sorted(api.__all__) == CONTRACT


def test_the_testing_kit_exports_exactly_these_names() -> None:
    assert kit() == KIT


def test_there_are_exactly_these_hooks() -> None:
    assert sorted(name for name in vars(hookspecs) if name.startswith("wsgw_")) == HOOKS


def test_all_exported_names_exist() -> None:
    for name, thing in public_things():
        assert thing is not None, name


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        (name, thing)
        for name, thing in public_things()
        if getattr(thing, "__module__", "").startswith("wsgw_core.")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
    ],
)
def test_every_class_and_function_has_a_docstring_and_so_have_its_members(
    name: str, thing: type
) -> None:
    assert "__doc__" in dir(thing)
    assert thing.__doc__, name
    if not inspect.isclass(thing):
        return
    assert not thing.__doc__.startswith(f"{name}("), "the docstring is a dataclass's own"
    for member, value in vars(thing).items():
        code = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not member.startswith("_") and inspect.isfunction(code):
            assert code.__doc__, f"{name}.{member}"


def test_every_name_occurs_in_a_test() -> None:
    root = Path(__file__).resolve().parents[3]
    words: set[str] = set()
    for folder in ("tests/core", "tests/journeys", "plugins/*/tests", "examples/*/tests"):
        for path in root.glob(f"{folder}/**/*.py"):
            if path != Path(__file__).resolve():
                words |= set(re.findall(r"\w+", path.read_text("utf-8")))
    names = [*CONTRACT, *HOOKS, *(name for names in KIT.values() for name in names)]
    assert [name for name in names if name not in words] == []
