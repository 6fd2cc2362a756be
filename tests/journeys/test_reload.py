"""The configuration changes while clients are connected, and none of them notices."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from wsgw_core.api import ConfigurationError
from wsgw_core.control.outcome import ReloadReport
from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartAdmin, StartBackend, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess

WSGW = Path(sys.executable).with_name("wsgw")
QUICK = {"quiet": "50ms"}


async def reload(gateway: RunningGateway, *backends: Any, **sections: Any) -> ReloadReport:
    server = {"frontend": {"address": "127.0.0.1:0"}} | sections.pop("server", {})
    entries = [
        {"url": one.url if isinstance(one, ScriptedBackend) else one}
        if isinstance(one, (ScriptedBackend, str))
        else one
        for one in backends
    ]
    sections.setdefault("drain", QUICK)
    return await gateway.reload({"server": server, "upstream": {"backends": entries}, **sections})


async def test_added_backend_serves_new_clients_and_sessions_stay(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue)
    async with connect(gateway.url) as first:
        served = await blue.connection()

        report = await reload(gateway, blue, green)

        assert (report.added, report.unchanged) == ([green.id], [blue.id])
        assert report.waiting == []

        async with connect(gateway.url), connect(gateway.url):
            await green.connection()
        await first.send("still here")
        assert await served.recv() == "still here"
    assert gateway.count("failovers") == 0


async def test_sessions_of_a_removed_backend_move_without_loss(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, drain=QUICK)
    async with connect(gateway.url) as client:
        served = await blue.connection()
        await client.send("one")
        assert await served.recv() == "one"

        await reload(gateway, green)
        moved = await green.connection()
        await served.wait_closed()
        await client.send("two")
        assert await moved.recv() == "two"
        await moved.send("three")
        assert await client.recv() == "three"

        async with connect(gateway.url):
            await green.connection()
    assert blue.accepted == 1
    assert gateway.count("replayed_messages") == 0


async def test_changed_backend_options_apply_to_new_clients(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    def tell(_connection: Any, _request: Any, response: Any) -> Any:
        response.headers["X-Node"] = "blue"
        return response

    blue = await start_backend(process_response=tell)
    gateway = await start_gateway(blue)
    async with connect(gateway.url) as old:
        served = await blue.connection()
        assert old.response is not None
        assert "X-Node" not in old.response.headers

        await reload(gateway, {"url": blue.url, "pass-headers": ["X-Node"]})

        async with connect(gateway.url) as new:
            assert new.response is not None
            assert new.response.headers["X-Node"] == "blue"
        await old.send("still here")
        assert await served.recv() == "still here"


@pytest.mark.parametrize("scheme", ["ws", "dns+ws"])
async def test_deleted_backend_stays_deleted_until_it_is_added_again(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend, scheme: str
) -> None:
    blue, green = await start_backend(), await start_backend()
    port = blue.url.rpartition(":")[2]
    entry = {"url": f"{scheme}://localhost:{port}", "id": "blue"}
    gateway = await start_gateway(entry, green)
    operator = await start_admin(gateway)
    assert await operator.post("/backend/delete/blue") == {"result": "success"}

    for failover in ({}, {"ping-timeout": "7s"}):  # the second one reopens all backends
        changed = {**entry, "pass-headers": ["X-Node", str(len(failover))]}
        report = await reload(gateway, changed, green, failover=failover)
        assert report.deleted == ["blue"]
        assert report.added == []

    assert [each.id for each in gateway.gateway.pool.backends] == [green.id]
    added = await operator.post("/backend/add", data=json.dumps(entry))
    assert added == {"result": "success"}
    await reload(gateway, entry, green)
    assert len(gateway.gateway.pool.backends) == 2


async def test_backend_added_in_place_of_an_entry_outlives_the_entry(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend
) -> None:
    blue, green, red = [await start_backend() for _ in range(3)]
    gateway = await start_gateway({"url": blue.url, "id": "blue"}, green)
    operator = await start_admin(gateway)
    await operator.post("/backend/delete/blue")
    await operator.post("/backend/add", data=json.dumps({"url": red.url, "id": "blue"}))

    assert (await reload(gateway, green)).unchanged == [green.id, "blue"]

    async with connect(gateway.url), connect(gateway.url):
        await red.connection()
    report = await reload(gateway, {"url": blue.url, "id": "blue"}, green)
    assert (report.changed, report.unchanged) == (["blue"], [green.id])
    async with connect(gateway.url), connect(gateway.url):
        await blue.connection()


async def test_deleted_address_stays_deleted_when_its_entry_changes(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    entry = {"url": f"dns+ws://127.0.0.1:{blue.url.rpartition(':')[2]}", "id": "blue"}
    gateway = await start_gateway(entry, green)
    operator = await start_admin(gateway)
    assert await operator.post("/backend/delete/blue-127-0-0-1") == {"result": "success"}

    report = await reload(gateway, {**entry, "pass-headers": ["X-Node"]}, green)

    assert report.deleted == ["blue-127-0-0-1"]
    for _ in range(2):
        async with connect(gateway.url):
            await green.connection()
    assert blue.accepted == 0


async def test_changed_backend_shows_the_sessions_that_it_kept_until_they_have_moved(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    entry = {"url": blue.url, "id": "blue"}
    gateway = await start_gateway(entry)
    operator = await start_admin(gateway)

    async def connections() -> dict[str, int]:
        rows = await operator.get("/backend/list")
        return {row["id"]: row["activeConnections"] for row in rows}

    async with connect(gateway.url), connect(gateway.url):
        for _ in range(2):
            await blue.connection()
        await until(lambda: len(gateway.gateway.sessions) == 2)

        await reload(gateway, {**entry, "ping-time": "7s"}, {"url": green.url, "id": "green"})

        assert await connections() == {"blue": 2, "green": 0}
        metrics = (await operator.call("GET", "/metrics")).text
        assert 'wsgw_backend_connections{backend="blue"} 2.0' in metrics
        await operator.post("/backend/drain/blue")
        for _ in range(2):
            await green.connection()
        await until(lambda: gateway.gateway.counters.moves.value == 2)
        assert await connections() == {"blue": 0, "green": 2}


async def test_backends_are_listed_in_the_order_of_the_configuration(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend
) -> None:
    blue, green, red = [{"url": f"ws://127.0.0.1:{port}", "id": str(port)} for port in (1, 2, 3)]
    name = {"url": f"dns+{(await start_backend()).url}", "id": "name"}
    added = {"url": "ws://127.0.0.1:4", "id": "added"}
    gateway = await start_gateway(name, blue, green)
    operator = await start_admin(gateway)

    async def listed() -> list[str]:
        rows = await operator.get("/backend/list")
        return [row["discoveredBy"] or row["id"] for row in rows]

    await operator.post("/backend/add", json=added)
    assert await listed() == ["name", "1", "2", "added"]
    await reload(gateway, red, {**blue, "weight": 2}, name, green)
    assert await listed() == ["3", "1", "name", "2", "added"]


async def test_least_connections_counts_older_sessions_of_a_changed_backend(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    upstream = {"policy": "least-connections", "backends": [{"url": blue.url}]}
    gateway = await start_gateway(upstream=upstream)
    async with AsyncExitStack() as clients:
        for _ in range(3):
            await clients.enter_async_context(connect(gateway.url))
            await blue.connection()

        changed = [{"url": blue.url, "ping-time": "7s"}, {"url": green.url}]
        await gateway.reload({"upstream": {**upstream, "backends": changed}, "drain": QUICK})

        for _ in range(3):
            await clients.enter_async_context(connect(gateway.url))
            await green.connection()
    assert (blue.accepted, green.accepted) == (3, 3)


async def test_disabled_backend_stays_disabled_when_it_is_reopened(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green)
    disabled = gateway.gateway.pool.backends[0]
    disabled.enabled = False

    await reload(gateway, blue, green, failover={"ping-timeout": "7s"})  # all are reopened

    again = gateway.gateway.pool.backends[0]
    assert again is not disabled
    assert (again.id, again.enabled) == (disabled.id, False)
    for _ in range(3):
        async with connect(gateway.url):
            await green.connection()


async def test_older_sessions_of_a_changed_backend_are_drained_with_it(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    entry = {"url": blue.url, "id": "blue"}
    gateway = await start_gateway(entry, green, drain=QUICK)
    operator = await start_admin(gateway)
    async with connect(gateway.url) as old:
        served = await blue.connection()
        await reload(gateway, {**entry, "pass-headers": ["X-Node"]}, green)

        await operator.post("/backend/drain/blue")
        await operator.post("/backend/enable/blue")
        await operator.post("/backend/drain/blue")

        await served.wait_closed()
        await old.send("still here")
        assert await (await green.connection()).recv() == "still here"
    assert gateway.count("moves") == 1


@pytest.mark.parametrize("scheme", ["ws", "dns+ws"])
async def test_backend_added_by_an_operator_can_be_put_into_the_file(
    start_gateway: StartGateway, start_admin: StartAdmin, start_backend: StartBackend, scheme: str
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway({"url": blue.url, "priority": 2})
    operator = await start_admin(gateway)
    port = green.url.rpartition(":")[2]
    entry = {"url": f"{scheme}://localhost:{port}", "id": "green"}
    added = await operator.post("/backend/add", data=json.dumps(entry))
    assert added == {"result": "success"}
    async with connect(gateway.url) as client:
        served = await green.connection()

        first = {"url": blue.url, "priority": 2}
        for _ in range(2):
            await reload(gateway, first, {**entry, "pass-headers": ["X-Node"]})
        assert len(gateway.gateway.pool.backends) == 2
        await reload(gateway, first)

        await served.wait_closed()
        await client.send("still here")
        assert await (await blue.connection()).recv() == "still here"


async def test_waiting_dials_use_the_new_limit(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    answer = asyncio.Event()
    dialled = 0

    async def hesitate(_connection: Any, _request: Any) -> None:
        nonlocal dialled
        dialled += 1
        await answer.wait()

    backend = await start_backend(process_request=hesitate)
    gateway = await start_gateway(
        backend, failover={"hedge-after": "0s", "max-concurrent-dials": 2}
    )
    async with AsyncExitStack() as clients:

        async def connect_one() -> None:
            await clients.enter_async_context(connect(gateway.url))

        async with asyncio.TaskGroup() as dials:
            for _ in range(5):
                dials.create_task(connect_one())
            await until(lambda: gateway.gateway.waiting_dials == 3)

            await reload(
                gateway, backend, failover={"hedge-after": "0s", "max-concurrent-dials": 4}
            )
            for _ in range(5):
                dials.create_task(connect_one())
            await until(lambda: gateway.gateway.waiting_dials == 6)
            await until(lambda: dialled == 4)
            answer.set()
    assert dialled == 10
    assert gateway.gateway.waiting_dials == 0


async def test_stopping_gateway_refuses_a_reload(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue)
    await gateway.gateway.stop()

    with pytest.raises(ConfigurationError, match="is stopping"):
        await reload(gateway, green)

    assert gateway.gateway.pool.backends == ()


async def test_unusable_configuration_changes_nothing(
    start_gateway: StartGateway, backend: ScriptedBackend, tmp_path: Path
) -> None:
    gateway = await start_gateway(backend)
    broken = {"url": "wss://127.0.0.1:1", "tls": {"ca": str(tmp_path / "missing.pem")}}
    async with connect(gateway.url) as client:
        served = await backend.connection()

        with pytest.raises(ConfigurationError, match=r"missing\.pem"):
            await reload(gateway, {"url": "ws://127.0.0.1:1", "id": "other"}, broken)

        await client.send("still here")
        assert await served.recv() == "still here"
    async with connect(gateway.url):
        await backend.connection()


async def test_limits_origins_and_headers_apply_to_new_clients(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend)
    frontend = {"address": "127.0.0.1:0", "allowed-origins": ["https://here.example"]}

    told = await reload(
        gateway,
        backend,
        server={"frontend": frontend, "block-headers": ["X-Secret"]},
        limits={"max-message-size": "1KiB", "max-sessions": 7},
    )

    assert told.waiting == ["limits.max-sessions"]
    with pytest.raises(InvalidStatus, match="403"):
        await connect(gateway.url, origin="https://elsewhere.example")  # type: ignore[arg-type]  # a text of its own type
    async with connect(gateway.url, additional_headers={"X-Secret": "x"}) as client:
        served = await backend.connection()
        assert served.request is not None
        assert "X-Secret" not in served.request.headers
        await client.send("x" * 2000)
        await client.wait_closed()
        assert client.close_code == 1009


async def test_discovered_name_can_be_added_and_removed(
    start_gateway: StartGateway, backend: ScriptedBackend, start_backend: StartBackend
) -> None:
    port = backend.url.rpartition(":")[2]
    other = await start_backend()
    gateway = await start_gateway(other, drain=QUICK)

    await reload(gateway, {"url": f"dns+ws://localhost:{port}", "id": "named"})
    async with connect(gateway.url):
        await backend.connection()
    await reload(gateway, other)
    async with connect(gateway.url):
        await other.connection()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def exchange_numbers(gateway: RunningGateway, stop: asyncio.Event, target: str = "/") -> int:
    """Send numbers and expect each back once and in order; return their count.

    In the pauses a session is quiet, even if this process is slow.
    """
    async with connect(gateway.url + target) as client:
        number = 0
        while not stop.is_set():
            await client.send(str(number))
            assert await client.recv() == str(number)
            number += 1
            await asyncio.sleep(1.0 if number % 8 == 0 else 0.02)
        assert client.close_code is None
    return number


def id_of(url: str) -> str:
    return url.removeprefix("ws://").replace(".", "-").replace(":", "-")


async def test_clients_do_not_notice_many_reloads(start_gateway: StartGateway) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    async with AsyncExitStack() as running:
        servers = [await running.enter_async_context(serve(echo, "127.0.0.1", 0)) for _ in range(3)]
        urls = [f"ws://127.0.0.1:{next(iter(one.sockets)).getsockname()[1]}" for one in servers]
        drain = {"rate": 1000, "quiet": "500ms", "patience": "20s"}
        gateway = await start_gateway(*urls, drain=drain)
        stop = asyncio.Event()
        clients = [asyncio.create_task(exchange_numbers(gateway, stop)) for _ in range(10)]
        await until(lambda: len(gateway.gateway.sessions) == len(clients))
        for _ in range(30):
            chosen = chance.sample(urls, chance.randint(1, 3))
            options = {"pass-headers": chance.choice([["X-A"], ["X-B"]])}
            await reload(gateway, *({"url": url, **options} for url in chosen), drain=drain)
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.1]))
        await reload(gateway, urls[0], drain=drain)
        await until(
            lambda: all(one.backend_id == id_of(urls[0]) for one in gateway.gateway.sessions)
        )
        assert gateway.count("failovers") == 0
        assert gateway.count("moves") > 0
        stop.set()
        asked = await asyncio.gather(*clients)
        await until(lambda: not len(gateway.gateway.sessions))
    assert min(asked) > 0


async def test_clients_do_not_notice_reloads_of_routes_and_their_backends(
    start_gateway: StartGateway,
) -> None:
    chance = random.Random(11)  # noqa: S311 - the same each time
    drain = {"rate": 1000, "quiet": "500ms", "patience": "20s"}
    own: dict[str, Any] = {"id": "own", "paths": ["/own/**"]}
    async with AsyncExitStack() as running:
        servers = [await running.enter_async_context(serve(echo, "127.0.0.1", 0)) for _ in range(4)]
        urls = [f"ws://127.0.0.1:{next(iter(one.sockets)).getsockname()[1]}" for one in servers]

        def sections(top: list[str], mine: list[str]) -> dict[str, Any]:
            """Return a configuration with these backends for all, and these for the route."""
            entries = [[{"url": url} for url in group] for group in (top, mine)]
            routes = [{**own, "backends": entries[1]}] if mine else []
            upstream: dict[str, Any] = {"backends": entries[0]} if top else {}
            if top and routes:
                routes.append({"id": "rest"})
            return {"upstream": upstream, "routes": routes, "drain": drain}

        gateway = await start_gateway(**sections(urls[:2], urls[2:]))
        stop = asyncio.Event()
        clients = [
            asyncio.create_task(exchange_numbers(gateway, stop, target))
            for target in ("/", "/own/1")
            for _ in range(5)
        ]
        await until(lambda: len(gateway.gateway.sessions) == len(clients))
        for _ in range(30):
            groups: dict[str, list[str]] = {"top": [], "mine": [], "none": []}
            for url in urls:
                groups[chance.choice(list(groups))].append(url)
            if groups["top"] or groups["mine"]:
                await reload(gateway, **sections(groups["top"], groups["mine"]))
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.1, 0.2]))
        await reload(gateway, **sections(urls[:1], urls[1:2]))
        last = {"rest": id_of(urls[0]), "own": id_of(urls[1])}
        await until(
            lambda: all(one.backend_id == last[one.route] for one in gateway.gateway.sessions)
        )
        assert gateway.count("failovers") == 0
        assert gateway.count("moves") > 0
        stop.set()
        asked = await asyncio.gather(*clients)
        await until(lambda: not len(gateway.gateway.sessions))
    assert min(asked) > 0


@pytest.fixture(params=[("--watch",)])
async def process(
    tmp_path: Path, start_backend: StartBackend, request: pytest.FixtureRequest
) -> AsyncIterator[ServerProcess]:
    """A gateway with one backend; it watches its file unless the test disables this."""
    first = await start_backend()
    file = tmp_path / "wsgw.yaml"
    write(file, first.url)
    with ExitStack() as running:
        gateway = running.enter_context(
            ServerProcess("wsgw_core.cli.main", "run", *request.param, "-c", str(file))
        )
        yield await gateway.start()
        gateway.signal(signal.SIGTERM)
        assert await gateway.ended() == 0


unwatched = pytest.mark.parametrize("process", [()], indirect=True, ids=["unwatched"])


def write(file: Path, *urls: str) -> None:
    data = {
        "server": {
            "frontend": {"address": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
            "logging-level": "INFO",
        },
        "upstream": {"backends": [{"url": url} for url in urls]},
        "drain": QUICK,
    }
    file.write_text(yaml.safe_dump(data))


async def run(*command: object) -> subprocess.CompletedProcess[bytes]:
    """Run a command, while the backends of this process go on."""
    return await asyncio.to_thread(
        subprocess.run, [str(each) for each in command], check=False, capture_output=True
    )


def count_lines(gateway: ServerProcess, text: str) -> int:
    return sum(text in line for line in gateway.lines)


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_process_reloads_on_a_signal_the_command_and_a_file_change(
    process: ServerProcess, backend: ScriptedBackend, tmp_path: Path
) -> None:
    file = tmp_path / "wsgw.yaml"
    async with connect(f"ws://127.0.0.1:{process.port}") as client:
        process.signal(signal.SIGHUP)
        done = "reload: done, 1 backend: 0 added, 0 removed, 0 changed, 1 unchanged"
        await until(lambda: count_lines(process, done) == 1)

        write(file, backend.url)
        moved = await backend.connection()
        await until(lambda: count_lines(process, ": moved from") == 1)
        await client.send("still here")
        assert await moved.recv() == "still here"
        assert count_lines(process, "reload: done") == 2

        file.write_text("upstream: {backends: [{url: nowhere}]}")
        await until(lambda: count_lines(process, "reload: nothing was changed") == 1)
        refused = await run(WSGW, "reload", "-c", file, str(process.pid))
        assert refused.returncode == 2
        assert count_lines(process, "reload: nothing was changed") == 1

        file.unlink()
        other = tmp_path / "other.yaml"
        write(other, backend.url)
        asked = await run(WSGW, "reload", "-c", other, str(process.pid))
        await until(lambda: count_lines(process, "file not found") == 1)
        assert asked.returncode == 1
        if sys.platform == "linux":
            assert b"file not found" in asked.stderr
            assert b"reload: nothing was changed" in asked.stderr
        await client.send("and here")
        assert await moved.recv() == "and here"


@pytest.mark.skipif(sys.platform != "linux", reason="the command hears the answer on Linux only")
@unwatched
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_reload_command_reports_what_has_changed(
    process: ServerProcess, backend: ScriptedBackend, tmp_path: Path
) -> None:
    file = tmp_path / "wsgw.yaml"
    async with connect(f"ws://127.0.0.1:{process.port}"):
        write(file, backend.url)
        command = [str(WSGW), "reload", "-c", str(file), str(process.pid)]

        asked = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: ASYNC221 - nothing else is to be done meanwhile

        assert (asked.returncode, asked.stderr) == (0, "")
        assert f"reload: done, 1 backend: 1 added ({backend.id}), 1 removed" in asked.stdout
        await backend.connection()
        unheard = [*command, "--wait", "0"]
        assert subprocess.run(unheard, check=False, capture_output=True).returncode == 0  # noqa: ASYNC221 - as above


@pytest.mark.skipif(sys.platform != "linux", reason="the command hears the answer on Linux only")
@unwatched
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_reload_command_fails_when_another_process_listens(
    process: ServerProcess, backend: ScriptedBackend, tmp_path: Path
) -> None:
    file = tmp_path / "wsgw.yaml"
    write(file, backend.url)
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(b"\0wsgw-reload-%d" % process.pid)
        squatter.listen()
        asked = await asyncio.to_thread(
            subprocess.run,
            [str(WSGW), "reload", "-c", str(file), str(process.pid)],
            check=False,
            capture_output=True,
            text=True,
        )
    assert asked.returncode == 1
    assert f"signalled, but process {os.getpid()} of user {os.geteuid()} receives" in asked.stderr
    await until(lambda: count_lines(process, "reload: done") == 1)


@unwatched
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_admin_call_reloads_the_configuration(
    process: ServerProcess, backend: ScriptedBackend, tmp_path: Path
) -> None:
    file = tmp_path / "wsgw.yaml"
    await until(lambda: count_lines(process, "admin API on"))
    [told] = [line for line in process.lines if "admin API on" in line]
    url = f"http://127.0.0.1:{told.rpartition(':')[2]}/reload"
    async with ClientSession() as operator, connect(f"ws://127.0.0.1:{process.port}") as client:
        write(file, backend.url)
        async with operator.post(url) as answer:
            told = await answer.json()
        new = backend.id
        assert told.pop("summary").startswith(f"done, 1 backend: 1 added ({new}), 1 removed")
        [removed] = told.pop("removed")
        assert removed != new
        assert told == {
            "result": "success",
            "added": [new],
            "changed": [],
            "unchanged": [],
            "deleted": [],
            "waiting": [],
        }
        moved = await backend.connection()
        await until(lambda: count_lines(process, ": moved from") == 1)
        await client.send("still here")
        assert await moved.recv() == "still here"

        file.write_text("upstream: {backends: [{url: nowhere}]}")
        async with operator.post(url) as answer:
            refused = await answer.json()
        assert refused["result"] == "failed"
        assert "'url' needs a scheme" in refused["reason"]


def test_reload_command_reports_a_missing_process(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    write(file, "ws://127.0.0.1:1")

    result = subprocess.run(
        [WSGW, "reload", "-c", file, str(2**22)], check=False, capture_output=True, text=True
    )

    assert result.returncode == 1
    assert "No such process" in result.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells of signals")
def test_reload_command_does_not_signal_another_program(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    write(file, "ws://127.0.0.1:1")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        try:
            result = subprocess.run(
                [WSGW, "reload", "-c", file, str(other.pid)],
                check=False,
                capture_output=True,
                text=True,
            )

            assert result.returncode == 1
            assert "not a gateway" in result.stderr
            assert other.poll() is None
        finally:
            other.kill()
