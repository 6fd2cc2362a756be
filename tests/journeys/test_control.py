"""The control of a gateway that relays: what the admin API does not use."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
from pydantic import TypeAdapter
from websockets.asyncio.client import connect

from wsgw_core import __version__
from wsgw_core.control import commands
from wsgw_core.control.events import (
    BackendDrained,
    ConnectionClosed,
    Event,
    SessionEnded,
    SessionHeld,
    SessionMoved,
    SessionOpened,
)
from wsgw_core.control.outcome import DONE, UNCHANGED, UNSUPPORTED
from wsgw_core.control.status import ConfigurationStatus, PluginStatus, RouteStatus
from wsgw_core.gateway.local_control import LocalControl
from wsgw_core.relay.session.session_state import State
from wsgw_core.spread_calls import AT_ONCE

from .conftest import StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def test_gateway_status_shows_version_sessions_and_addresses(
    start_gateway: StartGateway, blue: ScriptedBackend
) -> None:
    gateway = await start_gateway(blue)
    control = LocalControl(gateway.gateway)
    async with connect(gateway.url):
        await blue.connection()
        told = await control.gateway()
    assert (told.version, told.obstacles, told.sessions) == (__version__, (), 1)
    [frontend] = await control.frontends()
    assert frontend.addresses == (f"127.0.0.1:{gateway.port}",)


async def test_routes_show_whether_they_are_served(
    start_gateway: StartGateway, blue: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        upstream={"backends": [{"id": "blue", "url": blue.url}]},
        routes=[
            {
                "id": "own",
                "paths": ["/own"],
                "backends": [{"id": "down", "url": "ws://127.0.0.1:1"}],
            },
            {"id": "rest"},
        ],
    )
    control = LocalControl(gateway.gateway)
    await control.do(commands.DisableBackend("down"))
    assert await control.routes() == [
        RouteStatus("own", "own", served=False),
        RouteStatus("rest", "", served=True),
    ]
    assert (await control.gateway()).unserved_routes == ("own",)


async def test_plugins_list_the_kind_with_its_schemes(
    start_gateway: StartGateway, blue: ScriptedBackend
) -> None:
    control = LocalControl((await start_gateway(blue)).gateway)
    assert PluginStatus("backend", "ws", ("wss",)) in await control.plugins()


async def test_effective_configuration_is_plain_data_without_secrets(
    start_gateway: StartGateway, blue: ScriptedBackend
) -> None:
    gateway = await start_gateway({"id": "one", "url": "ws://user:hush@127.0.0.1:1/"})
    control = LocalControl(gateway.gateway)
    before = await control.configuration()
    assert before.number == 1
    assert before.settings["upstream"]["backends"][0]["url"] == "ws://user:***@127.0.0.1:1/"
    text = TypeAdapter(ConfigurationStatus).dump_json(before)
    assert b"hush" not in text
    assert TypeAdapter(ConfigurationStatus).validate_json(text) == before
    assert json.loads(text)["settings"]["limits"]

    await gateway.reload({"upstream": {"backends": [{"id": "two", "url": blue.url}]}})
    after = await control.configuration()
    assert after.number == 2
    assert [each["id"] for each in after.settings["upstream"]["backends"]] == ["two"]


async def test_reload_without_a_file_is_unsupported(
    start_gateway: StartGateway, blue: ScriptedBackend
) -> None:
    control = LocalControl((await start_gateway(blue)).gateway)
    assert await control.do(commands.Reload()) == UNSUPPORTED


async def test_failover_and_drain_publish_events(
    start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        {"id": "blue", "url": blue.url}, {"id": "green", "url": green.url}
    )
    control, heard = LocalControl(gateway.gateway), list[Event]()
    end = control.follow(heard.append)
    async with connect(gateway.url) as client:
        served = await blue.connection()
        for number in range(10):
            await client.send(f"message {number}")
        served.transport.abort()
        await green.connection()
        await until(lambda: [type(each) for each in heard[-1:]] == [SessionMoved])
        await control.do(commands.DrainBackend("blue"))
        await until(lambda: BackendDrained("blue") in heard)
    await until(lambda: isinstance(heard[-1], SessionEnded))
    end()
    async with connect(gateway.url):
        pass

    assert [type(each) for each in heard] == [
        SessionOpened,
        ConnectionClosed,
        SessionHeld,
        SessionMoved,
        BackendDrained,
        ConnectionClosed,
        SessionEnded,
    ]  # there is no event for messages
    [opened] = [each for each in heard if isinstance(each, SessionOpened)]
    assert opened.backend == "blue"
    [moved] = [each for each in heard if isinstance(each, SessionMoved)]
    assert (moved.session, moved.old, moved.backend) == (opened.session, "blue", "green")


async def test_a_failover_of_a_backend_is_done_when_the_first_session_moves_and_moves_all(
    start_gateway: StartGateway, blue: ScriptedBackend, green: ScriptedBackend
) -> None:
    gateway = await start_gateway(blue, green)
    control, pool, count = LocalControl(gateway.gateway), gateway.gateway.pool, 3 * AT_ONCE
    await control.do(commands.DisableBackend(green.id))
    async with AsyncExitStack() as clients:
        for _ in range(count):
            await clients.enter_async_context(connect(gateway.url))
        await control.do(commands.EnableBackend(green.id))
        assert await control.do(commands.FailOverBackend(blue.id)) == DONE
        moving = sum(session.state is State.SETTLING for session in gateway.gateway.sessions)
        assert 0 < moving < count
        await until(lambda: [each.active for each in pool.backends] == [0, count])
        assert await control.do(commands.FailOverBackend(blue.id)) == UNCHANGED
