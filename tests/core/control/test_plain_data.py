"""Commands, outcomes, statuses and events survive a round trip through JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from types import ModuleType
from typing import Any

import pytest
from pydantic import TypeAdapter

from wsgw_core.control import commands, events, outcome, status

SAMPLES = [
    commands.AddBackend({"url": "ws://blue:1/", "pass-headers": ["X-A"], "weight": 2}, "own", True),
    commands.DisableBackend("blue"),
    commands.EnableBackend("blue"),
    commands.FailOverBackend("blue"),
    commands.DrainBackend("blue"),
    commands.ResetBackend("blue"),
    commands.RemoveBackend("blue"),
    commands.CloseSession("s-1", 4000, "good night"),
    commands.FailOverSession("s-1"),
    commands.SendToClient("s-1", "grüße"),
    commands.SendToClient("s-1", binary=bytes(range(256))),
    commands.PauseFrontend("door"),
    commands.ResumeFrontend("door"),
    commands.Reload(),
    outcome.Outcome("refused", ("no url", "no kind")),
    outcome.Outcome("done", report=outcome.ReloadReport(added=["blue"])),
    outcome.ReloadReport(["a"], ["b"], ["c"], ["d"], ["e"], ["f"]),
    status.GatewayStatus("1.0", ("all frontends are paused",), ("own",), 7),
    status.BackendStatus(
        "blue", "ws", "ws://u:***@b", "own", "all", 1, 2, True, False, True, True, "why", 3, 4, 5
    ),
    status.BackendSettings(
        "blue", "ws", "ws://blue", "", 1, 2, -1, {"tls": {"t": 1.5}, "b": 2}, (("tls", "t"),)
    ),
    status.SessionStatus("s-1", "192.0.2.1", "/?a=b", "own", "", "relaying", True, 1, 2, 3),
    status.FrontendStatus("door", ("127.0.0.1:80", "[::1]:80"), True),
    status.RouteStatus("own", "own", False),
    status.PluginStatus("backend", "ws", ("ws", "wss")),
    events.SessionOpened("s-1", "own", "blue", "192.0.2.1"),
    events.ConnectionClosed("s-1", "", "blue", "1006"),
    events.SessionHeld("s-1", "", "blue"),
    events.SessionMoved("s-1", "", "green", "blue", 3),
    events.SessionStayed("s-1", "", "blue", "no other backend"),
    events.NoBackendFound("s-1", "", None, "none in time"),
    events.ProtocolBroken("s-1", "", "blue", "1007 invalid UTF-8"),
    events.SessionEnded("s-1", "", None, "1000", 2),
    events.BackendTripped("blue", "refused"),
    events.BackendProved("blue"),
    events.BackendDown("blue", "its broker is lost"),
    events.BackendUp("blue"),
    events.BackendUnhealthy("blue", "refused"),
    events.BackendHealthy("blue"),
    events.BackendDrained("blue"),
    status.ConfigurationStatus(2, {"limits": {"memory": None}, "routes": [{"id": "own"}]}),
]


def plain_types(module: ModuleType) -> set[type[Any]]:
    return {
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and dataclasses.is_dataclass(each)
        and not each.__name__.startswith("_")
    }


def test_every_type_has_a_sample() -> None:
    modules = (commands, events, outcome, status)
    assert set(map(type, SAMPLES)) == set().union(*map(plain_types, modules))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
async def test_round_trip_through_json_keeps_the_value(sample: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(type(sample))
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    far_reader, far_writer = await asyncio.open_connection(sock=theirs)
    try:
        writer.write(adapter.dump_json(sample) + b"\n")
        line = await far_reader.readline()
    finally:
        for each in (writer, far_writer):
            each.close()
            await each.wait_closed()

    json.loads(line)
    assert adapter.validate_json(line) == sample


@pytest.mark.parametrize("kind", list(dict.fromkeys(map(type, SAMPLES))))
def test_values_are_immutable(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
