"""`wsgw drill`: gateways pass, other servers fail, and errors say what is wrong."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from wsgw_drill.processes.server_process import Processes
from wsgw_drill.tcp_proxy import TcpProxy
from wsgw_drill.ways import DEFAULT, WAYS

from wsgw_core.cli.main import main
from wsgw_core.testing.running_gateway import running_gateway

from ..journeys.eventually import until
from ..journeys.free_ports import free_ports

WSGW = str(Path(sys.executable).with_name("wsgw"))
# Pauses depend on the load of the machine.
SMALL = (
    *("--clients", "4", "--rate", "50", "--size", "64B..1KiB", "--breaks", "1"),
    *("--calm", "200ms", "--pause", "kill=1h", "--pause", "terminate=1h"),
    *("--pause", "freeze=1h"),
)
Called = Callable[..., tuple[object, str, str]]
# Settings of the shell that would change the drill.
SECRET = "a secret of at least thirty-two bytes"  # noqa: S105 - of these tests
FOREIGN = {"BE_URLS": "ws://nowhere.invalid:1", "FE_ADDR": "x"}


@asynccontextmanager
async def drilling(
    *arguments: str, variables: Mapping[str, str] = FOREIGN, cwd: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the command; its process is gone at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        WSGW,
        "drill",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables, "TERM": "dumb"},
        cwd=cwd,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def drill(
    *arguments: str, variables: Mapping[str, str] = FOREIGN, cwd: Path | None = None
) -> tuple[int | None, str, str]:
    """Runs the command to its end; returns status, stdout and stderr."""
    async with drilling(*arguments, variables=variables, cwd=cwd) as process:
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def called(
    log_set_up_anew: None,  # noqa: ARG001 - the command sets the log up
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Called:
    """Returns a function that runs the command in this process, for calls that start no drill."""

    def call(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["wsgw", "drill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
async def test_gateway_with_default_settings_passes_and_writes_report(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.json"

    status, out, err = await drill(*SMALL, "--way", "kill", "--way=terminate", "--json", str(file))

    assert (status, err) == (0, ""), out
    assert "Everything was as expected." in out
    assert re.search(r"^ ?kill +1 ", out, re.MULTILINE), out
    report = json.loads(file.read_text())
    assert report["passed"] is True
    assert report["options"]["size"] == [64, 1024]
    assert [row["way"] for row in report["ways"]] == ["kill", "terminate"]
    for row in report["ways"]:
        assert row["sent"] > 40
        assert row["failovers"] >= 2
        assert row["pauses"]["p50"] > 0
        assert [row[name] for name in ("lost", "unread", "reordered", "dropped")] == [0, 0, 0, 0]
        assert row["failures"] == []


@pytest.mark.slow
async def test_pause_longer_than_expected_fails(tmp_path: Path) -> None:
    file = tmp_path / "report.json"

    status, out, _ = await drill(*SMALL, "--way=kill", "--pause=kill=1ms", "--json", str(file))

    assert status == 1
    assert "expected at most 1 ms" in out
    assert "compare with fewer --clients" in out
    assert "--pause kill=DURATION" in out
    assert "Not everything was as expected." in out
    assert "Only times were longer than their limits" in out
    report = json.loads(file.read_text())
    assert (report["passed"], report["failed"], report["slow"]) == (False, [], ["kill"])
    (row,) = report["ways"]
    assert row["failures"] == []
    assert "expected at most 1 ms" in row["slow"][0]


@pytest.mark.slow
async def test_gateway_with_users_file_is_drilled_with_its_backends(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    frontend, admin, blue, green = free_ports(4)
    backends = [{"id": "blue", "url": f"ws://127.0.0.1:{blue}/base"}]
    backends += [{"id": "green", "url": f"ws://[::1]:{green}"}]
    data = {
        "server": {
            "frontend": {"address": f":{frontend}"},
            "admin": {"address": f"127.0.0.1:{admin}"},
        },
        "upstream": {"backends": backends},
        "failover": {"ping-timeout": "700ms", "dial-timeout": "1s"},
    }
    file.write_text(yaml.safe_dump(data))
    report = tmp_path / "report.json"

    status, out, err = await drill(
        *(*SMALL, "-c", str(file), "--way=freeze", "--json", str(report)), variables={}
    )

    assert (status, err) == (0, ""), out
    (row,) = json.loads(report.read_text())["ways"]
    assert row["failovers"] >= 2


def three_routes(file: Path) -> tuple[int, int, int]:
    """Writes a file with three routes, `blue` with two backends; returns all backends' ports."""
    frontend, admin, *ports = free_ports(5)
    other, one, two = (f"ws://127.0.0.1:{port}" for port in ports)
    data = {
        "server": {
            "frontend": {"address": f"127.0.0.1:{frontend}"},
            "admin": {"address": f"127.0.0.1:{admin}"},
        },
        "upstream": {"backends": [{"id": "other", "url": other}]},
        "routes": [
            {"id": "feed", "paths": ["/feed/**"], "valves": []},
            {
                "id": "blue",
                "paths": ["/feed/**", "/room/*/socket"],
                "hosts": ["*.example.com"],
                "headers": {"X-Tenant": "blue"},
                "backends": [{"id": "blue-1", "url": one}, {"id": "blue-2", "url": two}],
            },
            {"id": "rest"},
        ],
    }
    file.write_text(yaml.safe_dump(data))
    return ports[0], ports[1], ports[2]


@pytest.mark.slow
async def test_route_of_users_file_is_drilled_without_touching_other_backends(
    tmp_path: Path,
) -> None:
    file, report = tmp_path / "wsgw.yaml", tmp_path / "report.json"
    other, *_ = three_routes(file)

    # The backend of the other routes belongs to another process and must not be dialled.
    with socket.create_server(("127.0.0.1", other)) as somebody:
        status, out, err = await drill(
            *(*SMALL, "-c", str(file), "--route=blue", "--way=kill", "--json", str(report)),
            variables={},
        )
        somebody.setblocking(False)
        with pytest.raises(BlockingIOError):
            somebody.accept()

    assert (status, err) == (0, ""), out
    assert out.startswith(
        "Route blue, backends blue-1, blue-2; clients request /room/drill/socket at host"
        " drill.example.com with X-Tenant.\n"
    )
    found = json.loads(report.read_text())
    assert found["options"]["route"] == "blue"
    (row,) = found["ways"]
    assert row["sent"] > 40
    assert row["failovers"] >= 2
    assert [row[name] for name in ("lost", "unread", "reordered", "dropped")] == [0, 0, 0, 0]


def test_missing_or_wrong_route_is_reported(tmp_path: Path, called: Called) -> None:
    file = tmp_path / "wsgw.yaml"
    three_routes(file)
    for options, told in {
        (): "routes: choose one of them with --route: feed, blue, rest",
        ("--route=red",): "unknown route 'red'; the routes are: feed, blue, rest",
        ("--route=rest", "--path=/feed/1"): (
            "a request for /feed/1 at host 127.0.0.1:PORT reaches route feed, not route rest;"
            " set --path, --host or --header to reach it"
        ),
    }.items():
        status, out, err = called("-c", str(file), *options)

        assert (status, out) == (2, "")
        assert re.sub(r"1:\d+", "1:PORT", err) == f"wsgw: {told}\n"


def test_two_backends_at_one_address_are_refused(tmp_path: Path, called: Called) -> None:
    file = tmp_path / "wsgw.yaml"
    backends = [{"id": name, "url": f"ws://localhost:1/{name}"} for name in ("blue", "green")]
    file.write_text(yaml.safe_dump({"upstream": {"backends": backends}}))

    status, _, err = called("-c", str(file))

    assert status == 2
    assert err == (
        "wsgw: backend green: the drill runs one backend at an address, and blue has the same"
        " address\n"
    )


def test_backends_that_the_drill_cannot_run_are_refused(tmp_path: Path, called: Called) -> None:
    file = tmp_path / "wsgw.yaml"
    backends = [{"id": "blue", "url": "ws://localhost:1"}, {"id": "x", "url": "wss://localhost:2"}]
    file.write_text(yaml.safe_dump({"upstream": {"backends": backends}}))

    status, _, err = called("-c", str(file))

    assert status == 2
    assert err == (
        "wsgw: backend x: the drill only runs backends with ws:// URLs, not wss://localhost:2\n"
    )


@pytest.mark.slow
async def test_running_gateway_is_drilled() -> None:
    ports = free_ports(2)
    backends = [f"--backend=127.0.0.1:{port}" for port in ports]
    data = {
        "server": {"frontend": {"address": "127.0.0.1:0"}},
        "upstream": {"backends": [{"url": f"ws://127.0.0.1:{port}"} for port in ports]},
    }

    async with running_gateway(data) as gateway:
        status, out, err = await drill(
            *SMALL, "--way=kill", "--url", gateway.url, *backends, "--pid", str(os.getpid())
        )

    assert (status, err) == (0, ""), out


@pytest.mark.slow
async def test_running_gateway_is_steered_through_its_admin_api(tmp_path: Path) -> None:
    token = "for-those-who-operate"  # noqa: S105 - of this test
    port, *ports = free_ports(3)
    admin = {
        "address": f"127.0.0.1:{port}",
        "tokens": [{"name": "operator", "token": token, "roles": ["operate"]}],
    }
    data = {
        "server": {"frontend": {"address": "127.0.0.1:0"}, "admin": admin},
        "upstream": {"backends": [{"id": f"b{n}", "url": f"ws://localhost:{n}"} for n in ports]},
    }
    (tmp_path / "wsgw.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "token").write_text(f"{token}\n")

    async with Processes(os.environ) as processes:
        gateway = await processes.start(
            "the gateway", "wsgw_core.cli.main", "run", "-c", str(tmp_path / "wsgw.yaml")
        )
        status, out, err = await drill(
            *(*SMALL, "--way=operator-failover", "--pause=operator-failover=1h"),
            *("--url", f"ws://127.0.0.1:{gateway.port}", "--admin", f"http://127.0.0.1:{port}"),
            *("--admin-token-file", str(tmp_path / "token")),
            *(f"--backend=:{each}" for each in ports),
        )

    assert (status, err) == (0, ""), out
    assert re.search(r"^ ?operator-failover +1 +[2-9]", out, re.MULTILINE), out


def test_admin_api_of_another_gateway_is_reported(called: Called) -> None:
    first, second = free_ports(2)

    status, out, _ = called(
        *("--url", "ws://127.0.0.1:1", "--admin", "http://127.0.0.1:1"),
        *("--backend", f":{first}", "--backend", f":{second}", "--way", "operator-failover"),
    )

    assert status == 1
    assert out.startswith("Cannot continue the drill: the admin API does not answer: ")


@pytest.mark.slow
async def test_route_of_running_gateway_is_drilled() -> None:
    ports = free_ports(2)
    backends = [{"url": f"ws://127.0.0.1:{port}"} for port in ports]
    conditions = {
        "paths": ["/room/*"],
        "hosts": ["chat.example.com"],
        "headers": {"X-Tenant": "blue"},
    }
    data = {
        "server": {"frontend": {"address": "127.0.0.1:0"}},
        "routes": [{"id": "blue", "backends": backends, **conditions}],
    }

    async with running_gateway(data) as gateway:
        status, out, err = await drill(
            *(*SMALL, "--way=kill", "--url", gateway.url),
            *(f"--backend=127.0.0.1:{port}" for port in ports),
            *("--path", "/room/1", "--host", "chat.example.com", "--header", "X-Tenant: blue"),
        )

    assert (status, err) == (0, ""), out


async def refuse(connection: ServerConnection, _request: Request) -> Response:
    return connection.respond(HTTPStatus.FORBIDDEN, "not you\nnor anybody else\n")


async def close_at_the_first_message(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.close(1008, "too much")


async def wait_until_closed(connection: ServerConnection) -> None:
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("handler", "admit", "told"),
    [
        (
            wait_until_closed,
            refuse,
            (
                "a client's handshake was answered with status 403 (not you); --header, --path and"
                " --host change the handshake"
            ),
        ),
        (
            close_at_the_first_message,
            None,
            (
                "a client was closed with 1008 (too much): what clients send, which follows no"
                " protocol, must pass the gateway's valves and limits; see --rate and --size"
            ),
        ),
    ],
)
async def test_refused_clients_are_reported_in_one_line(
    handler: Callable[[ServerConnection], Awaitable[None]],
    admit: Callable[[ServerConnection, Request], Awaitable[Response | None]] | None,
    told: str,
) -> None:
    backends = [f"--backend=127.0.0.1:{port}" for port in free_ports(2)]

    async with serve(handler, "127.0.0.1", 0, process_request=admit) as server:
        port = server.sockets[0].getsockname()[1]
        status, out, err = await drill(*SMALL, "--url", f"ws://127.0.0.1:{port}", *backends)

    assert (status, err) == (1, "")
    assert " ".join(out.split()) == f"Cannot continue the drill: {told}"


def with_failover(file: Path, **failover: object) -> None:
    """Writes a file with three routes, of which `rest` has one backend, and failover options."""
    three_routes(file)
    data = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**data, "failover": failover}))


def with_plugins(file: Path, **sections: object) -> None:
    """Writes a file with two backends and sections of plugins."""
    frontend, admin, *ports = free_ports(4)
    data = {
        "server": {
            "frontend": {"address": f"127.0.0.1:{frontend}"},
            "admin": {"address": f"127.0.0.1:{admin}"},
        },
        "upstream": {"backends": [{"url": f"ws://127.0.0.1:{port}"} for port in ports]},
    }
    file.write_text(yaml.safe_dump({**data, **sections}))


def token() -> str:
    """Returns a token that is valid for an hour, signed with the secret."""
    claims = {"exp": int(time.time()) + 3600}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims)]
    signed = b".".join(map(_encoded, parts))
    signature = hmac.digest(SECRET.encode(), signed, "sha256")
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (
            {"gates": [{"kind": "jwt", "keys-file": "key", "algorithms": "HS256"}]},
            "status 401 (a token is required); --header, --path and --host change the handshake",
        ),
        (
            {"valves": [{"kind": "mqtt"}]},
            "1008 (a packet before CONNECT): what clients send, which follows no protocol, must",
        ),
    ],
)
async def test_plugin_of_users_file_that_takes_no_drill_is_reported(
    tmp_path: Path, plugin: dict[str, Any], told: str
) -> None:
    file = tmp_path / "wsgw.yaml"
    (tmp_path / "key").write_text(SECRET)
    with_plugins(file, **plugin)

    status, out, _ = await drill(*SMALL, "--way=kill", "-c", str(file), variables={}, cwd=tmp_path)

    assert status == 1
    assert told in " ".join(out.split())


@pytest.mark.slow
async def test_gate_of_users_file_admits_clients_with_the_token_in_a_header(
    tmp_path: Path,
) -> None:
    file = tmp_path / "wsgw.yaml"
    (tmp_path / "key").write_text(SECRET)
    with_plugins(file, gates=[{"kind": "jwt", "keys-file": "key", "algorithms": "HS256"}])

    status, out, err = await drill(
        *(*SMALL, "--way=kill", "-c", str(file), "--header", f"Authorization: Bearer {token()}"),
        variables={},
        cwd=tmp_path,
    )

    assert (status, err) == (0, ""), out


@pytest.mark.slow
async def test_at_most_once_delivery_may_lose_but_not_duplicate(tmp_path: Path) -> None:
    file, report = tmp_path / "wsgw.yaml", tmp_path / "report.json"
    with_failover(file, delivery="at-most-once", **{"ping-timeout": "1s"})

    status, out, err = await drill(
        *(*SMALL, "--rate=200", "--compress", "--route=blue", "-c", str(file)),
        *("--way=kill", "--way=reset", "--pause=reset=1h", "--json", str(report)),
        variables={},
    )

    assert (status, err) == (0, ""), out
    rows = json.loads(report.read_text())["ways"]
    for row in rows:
        assert row["failovers"] >= 2
        assert row["duplicated"] == 0
        assert row["lost"] + row["unread"] <= row["undelivered"]


@pytest.mark.slow
async def test_admin_api_with_tokens_is_called_with_the_operate_token(tmp_path: Path) -> None:
    file, report = tmp_path / "wsgw.yaml", tmp_path / "report.json"
    with_failover(file)
    data = yaml.safe_load(file.read_text())
    data["server"]["admin"]["tokens"] = [
        {"name": "reader", "token": "only-for-those-who-read", "roles": ["read"]},
        {"name": "operator", "token": "for-those-who-operate", "roles": ["operate"]},
    ]
    file.write_text(yaml.safe_dump({**data, "drain": {"step": "20s"}}))

    status, out, err = await drill(
        *(*SMALL, "--way=operator-failover", "-c", str(file), "--route=blue"),
        *("--json", str(report)),
        variables={},
    )

    assert (status, err) == (0, ""), out
    assert "a client's message waited" in out
    (row,) = json.loads(report.read_text())["ways"]
    assert row["failovers"] >= 2
    assert row["lost"] == row["duplicated"] == 0


@pytest.mark.slow
async def test_default_ways_that_the_file_rules_out_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    with_failover(file)

    status, out, err = await drill(
        *(*SMALL, "--away=200ms", "--pause=reset=1h", "-c", str(file), "--route=rest"),
        variables={},
    )

    assert (status, err) == (0, ""), out
    assert "Left out, because each needs two backends: kill, terminate, freeze.\n" in out
    assert re.search(r"^ ?away +1 ", out, re.MULTILINE), out
    assert re.search(r"^ ?reset +1 ", out, re.MULTILINE), out


@pytest.mark.parametrize(
    ("options", "failover", "complaint"),
    [
        (("--route=rest", "--way=kill"), {}, "the way 'kill' needs two backends"),
        (
            ("--route=blue",),
            {"enabled": False},
            "no way of the short set is possible: each needs failover, which is off; try --way all",
        ),
        (
            ("--route=blue", "--way=all", "--way=poison"),
            {"delivery": "at-most-once"},
            "the way 'poison' needs replays, which at-most-once does not have",
        ),
    ],
)
def test_chosen_way_that_the_file_rules_out_is_refused(
    options: tuple[str, ...],
    failover: dict[str, object],
    complaint: str,
    tmp_path: Path,
    called: Called,
) -> None:
    file = tmp_path / "wsgw.yaml"
    with_failover(file, **failover)

    status, _, err = called("-c", str(file), *options)

    assert status == 2
    assert complaint in " ".join(err.split())


async def test_messages_beyond_a_limit_of_the_file_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    three_routes(file)
    data = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**data, "limits": {"max-message-size": 512}}))

    status, out, _ = await drill(
        *(*SMALL, "--size=1KiB", "-c", str(file), "--route=blue", "--way=kill"), variables={}
    )

    assert status == 1
    assert "Cannot continue the drill: a client was closed with 1009" in out


@pytest.mark.slow
async def test_plain_tcp_proxy_fails_the_drill() -> None:
    ports = free_ports(3)
    proxy = TcpProxy()
    proxy.target = ("127.0.0.1", ports[1])
    await proxy.listen("127.0.0.1", ports[0])
    backends = [f"--backend=:{port}" for port in ports[1:]]

    status, out, _ = await drill(
        *SMALL, "--way=kill", "--url", f"ws://127.0.0.1:{ports[0]}", *backends
    )

    proxy.close()
    assert status == 1
    assert re.search(r"^kill: 4 dropped$", out, re.MULTILINE), out
    assert "Only times" not in out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux lists children")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_no_process_outlives_the_drill(number: signal.Signals) -> None:
    async with drilling(*SMALL, "--way", "freeze") as process:
        await until(lambda: len(children_of(process.pid)) == 3, "gateway and backends run")
        children = children_of(process.pid)
        await asyncio.sleep(0.5)  # possibly during the freeze

        process.send_signal(number)
        out, _ = await process.communicate()

        assert process.returncode == (-number if number == signal.SIGKILL else 130)
        assert number == signal.SIGKILL or b"every process of the drill has ended" in out
        await until(lambda: not any(map(is_running, children)), "the processes have ended")


def test_list_option_prints_the_ways(called: Called) -> None:
    status, out, _ = called("--list")

    assert status == 0
    for name, way in WAYS.items():
        star = "*" if name in DEFAULT else " "
        assert re.search(
            rf"^{re.escape(star)} {name} +{re.escape(way.summary)}$", out, re.MULTILINE
        )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--way", "kil"], "unknown way 'kil'"),
        (["--size", "0"], "not a range between 1B and 1MiB"),
        (["--size", "9KiB..1KiB"], "not a range between 1B and 1MiB"),
        (["--size", "much"], "not a size such as"),
        (["--calm", "later"], "not a duration such as"),
        (["--pause", "kill"], "not a way and a duration such as kill=200ms"),
        (["--pause", "kill=late"], "not a duration such as"),
        (["--pause", "kil=1s"], "unknown way 'kil'"),
        (["--header", "nothing"], "not a header such as"),
        (["--header", "host: x"], "set the host with --host"),
        (["--header", "Upgrade: x"], "the handshake sets this header itself"),
        (["--path", "chat"], "not a path such as /chat/1"),
        (["--path", "/chat#1"], "not a path such as /chat/1"),
        (["--path", "/chat/ü"], "not a path such as /chat/1"),
        (["--host", "*.example.com"], "not a host such as chat.example.com"),
        (["--host", "example.com/x"], "not a host such as chat.example.com"),
        (["--host", "a@example.com"], "not a host such as chat.example.com"),
        (["--host", "example.com:99999"], "Port out of range"),
        (["--host", ""], "not a host such as chat.example.com"),
        (["--route", "a"], "--route needs --config"),
        (["--backend", "pigeon"], "no installed plugin provides kind 'pigeon'"),
        (["--backend", "ws", "--backend", "jsonl"], "give --backend KIND once"),
        (["--backend", "[::1"], "not an address"),
        (["--url", "http://127.0.0.1:1"], "not a URL such as ws://localhost:8080/: scheme isn't"),
        (["--url", "ws://127.0.0.1:99999"], "not a URL such as ws://localhost:8080/: Port out of"),
        (["--url", "ws://127.0.0.1:1"], "--url needs --backend HOST:PORT"),
        (["--backend", ":1"], "--url needs --backend HOST:PORT"),
        (["-c", "x", "--url", "ws://a", "--backend", ":1"], "exclude each other"),
        (["--admin", "http://127.0.0.1:1"], "--admin needs --url"),
        (["--admin-token-file", "nowhere"], "nowhere: No such file"),
        (["--pid", "1"], "--pid needs --url"),
        (["--admin", "127.0.0.1:1"], "not a URL such as http://localhost:8081"),
        (["--admin", "http://127.0.0.1:1/x"], "not a URL such as http://localhost:8081"),
        (["--admin", "http://a:b@127.0.0.1"], "not a URL such as http://localhost:8081"),
        (
            ["--url", "ws://127.0.0.1:1", "--backend", ":1", "--way", "operator-failover"],
            "the way 'operator-failover' needs two backends",
        ),
        (
            [
                *("--url", "ws://127.0.0.1:1", "--backend", ":1", "--backend", ":2"),
                *("--way", "operator-failover"),
            ],
            "needs an admin API: with -c one without TLS, with --url that of --admin",
        ),
        (["-c", "x", "--replies"], "--replies works only without --config and --url"),
        (["-c", "nowhere.yaml"], "nowhere.yaml: file not found"),
        (["--backends", "0"], "0 is not in the range"),
        (["--clients", "many"], "'many' is not a valid whole number"),
    ],
)
def test_wrong_command_line_is_reported(
    arguments: list[str], complaint: str, called: Called
) -> None:
    status, _, err = called(*arguments)

    assert status == 2
    assert complaint in " ".join(err.split())


def test_unwritable_report_is_reported_before_the_drill(tmp_path: Path, called: Called) -> None:
    (tmp_path / "file").touch()

    status, out, _ = called("--json", str(tmp_path / "file" / "report.json"))

    assert status == 1
    assert out.startswith("Cannot continue the drill: ")


def test_port_in_use_is_reported(called: Called) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, _ = called(
            "--url", "ws://127.0.0.1:1", "--backend", f":{port}", "--backend", ":0"
        )

    assert status == 1
    assert f"127.0.0.1:{port} is in use" in out


def test_address_of_another_machine_is_reported(called: Called) -> None:
    status, out, _ = called(
        "--url", "ws://127.0.0.1:1", "--backend", "192.0.2.1:9", "--backend", ":0"
    )

    assert status == 1
    assert "cannot listen on 192.0.2.1:9: Cannot assign requested address" in out
