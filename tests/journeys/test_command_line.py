"""The `wsgw` command as its users meet it: real processes, plugins made for the test."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no type hints

from wsgw_core.config.wsbalancer_variables import ALL_VARIABLES

WSGW = Path(sys.executable).with_name("wsgw")
COMMANDS = ("run", "reload", "check", "schema", "plugins", "version", "demo")

# What it does when it is opened and closed is told by its options.
FAKE_PLUGIN = """
    import asyncio, sys
    from wsgw_core.api import BackendUnavailable, ConfigurationError, Options, hookimpl

    WSGW_API = "1.0"

    class FakeMarks(Options):
        first_one: str = ""
        second_one: str = ""

    class FakeOptions(Options):
        url: str
        speed: int = 7
        api_key: str | None = None
        at_open: str = ""
        at_close: str = ""
        at_probe: str = ""
        marks: FakeMarks = FakeMarks()

    class FakeBackend:
        def __init__(self, options, context):
            self.options = options

        async def open(self):
            await self.act("opening", self.options.at_open)

        async def close(self):
            await self.act("closing", self.options.at_close)

        async def connect(self, request, sink):
            raise BackendUnavailable("pigeons carry no sessions")

        async def probe(self):
            if self.options.at_probe == "refuse":
                raise BackendUnavailable("no pigeon at " + self.options.url)
            await self.act("probing", self.options.at_probe)

        async def act(self, what, how):
            print(what, file=sys.stderr, flush=True)
            if how == "hang":
                await asyncio.Event().wait()
            if how == "refuse":
                raise ConfigurationError(["speed: too fast", "speed: too slow"])
            if how == "fail":
                raise LookupError("out of pigeons")

    @hookimpl
    def wsgw_register_backends(registry):
        registry.add("fake", FakeOptions, FakeBackend)

    class FakeValveOptions(Options):
        password: str = ""

    @hookimpl
    def wsgw_register_valves(registry):
        registry.add("fake", FakeValveOptions, lambda options, session: None)
"""


class Shop:
    """A folder on the import path into which distributions are put, and what runs with it."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self.folder = folder
        self._cleanup = cleanup

    def install(self, name: str, entry: str | None, source: str = "") -> None:
        """Put a distribution of one module there; without an entry it provides nothing."""
        module = f"{name.replace('-', '_')}_module"
        info = self.folder / f"{name.replace('-', '_')}-9.9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
        if entry:
            (info / "entry_points.txt").write_text(f"[wsgw]\n{entry} = {module}\n")
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source))

    def hide_installed_plugins(self) -> None:
        """Put distributions without plugins before the installed ones of the same names."""
        for entry_point in metadata.entry_points(group="wsgw"):
            name = entry_point.dist.name if entry_point.dist else ""
            if name and not list(self.folder.glob(f"{name.replace('-', '_')}-*")):
                self.install(name, None)

    def config(self, text: str) -> str:
        path = self.folder / "wsgw.yaml"
        path.write_text(textwrap.dedent(text))
        return str(path)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [WSGW, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(variables),
            timeout=60,
        )

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = self._cleanup.enter_context(
            subprocess.Popen(
                [WSGW, *arguments],
                stderr=subprocess.PIPE,
                text=True,
                env=self._environment(variables),
            )
        )
        self._cleanup.callback(process.kill)
        return process

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        own = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(own)}
        return {
            **inherited,
            "PYTHONPATH": str(self.folder),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "200",
            "ADM_ADDR": "127.0.0.1:0",
            **variables,
        }


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as cleanup:
        yield Shop(tmp_path, cleanup)


@pytest.fixture
def fake(shop: Shop) -> Shop:
    shop.install("acme", "fake", FAKE_PLUGIN)
    return shop


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read what a process says until a line matches; fail when it ends before."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"{pattern!r} is not in: {''.join(said)}")


def rest_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(30)
    return said


def only_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text.rstrip("\n")


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


RUN = {"BE_URLS": "fake://nowhere.invalid:1", "FE_ADDR": "127.0.0.1:0"}


@pytest.mark.parametrize("arguments", [(), *[(command,) for command in COMMANDS]])
def test_help_works_with_a_broken_plugin_and_imports_nothing_heavy(
    shop: Shop, arguments: tuple[str, ...]
) -> None:
    shop.install("acme", "fake", "raise RuntimeError('imported')")

    result = shop.run(*arguments, "--help", PYTHONPROFILEIMPORTTIME="1")

    assert result.returncode == 0
    assert result.stdout.startswith("Usage: wsgw ")
    imported = set(re.findall(r"\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert "wsgw_core.cli.main" in imported
    heavy = {"pydantic", "dynaconf", "rich", "websockets", "uvloop", "pluggy", "asyncio"}
    assert not imported & heavy


def test_the_version_is_told_in_one_line(shop: Shop) -> None:
    result = shop.run("--version")

    assert re.fullmatch(r"wsgw \d+\.\d+\.\d+\S*\n", result.stdout)


def test_the_help_of_run_lists_wsbalancers_variables_with_type_and_default(shop: Shop) -> None:
    text = " ".join(shop.run("run", "--help").stdout.split())

    for variable in ALL_VARIABLES:
        default = f" [{variable.default}]" if variable.default else ""
        assert f"{variable.name} {variable.type} {variable.meaning}{default}" in text


def test_version_lists_core_python_libraries_and_plugins(shop: Shop) -> None:
    shop.install("acme", "fake", "raise RuntimeError('imported')")

    result = shop.run("version")

    lines = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert lines["wsgw-core"] == metadata.version("wsgw-core")
    assert lines["python"] == ".".join(map(str, sys.version_info[:3]))
    assert lines["websockets"] == metadata.version("websockets")
    assert "uvloop" in lines
    assert lines["acme"] == "9.9"


def test_plugins_are_listed_without_importing_them(shop: Shop) -> None:
    shop.install("acme", "fake", "raise RuntimeError('imported')")

    result = shop.run("plugins")

    assert result.returncode == 0
    assert re.search(r"^fake +acme +9\.9$", result.stdout, re.MULTILINE)


def test_that_there_are_no_plugins_is_told(shop: Shop) -> None:
    shop.hide_installed_plugins()

    result = shop.run("plugins")

    assert (result.returncode, result.stdout) == (0, "")
    assert only_line(result.stderr) == "no plugins are installed"


@pytest.mark.parametrize("command", ["run", "check"])
def test_without_plugins_the_missing_scheme_is_told(shop: Shop, command: str) -> None:
    shop.hide_installed_plugins()

    result = shop.run(command, BE_URLS="ws://a:1")

    assert result.returncode == 2
    assert "no installed plugin provides scheme 'ws'" in only_line(result.stderr)


def test_check_prints_a_configuration_file_of_the_same_meaning(fake: Shop) -> None:
    file = fake.config(
        """
        upstream:
          backends:
            - {url: "fake://nowhere.invalid:1", speed: 9}
            - {kind: fake, id: b, url: "fake://b:1"}
        failover: {hold: 1m}
        """
    )

    first = fake.run("check", "-c", file, FE_ADDR=":1")
    second = fake.run("check", "--config", fake.config(first.stdout))

    assert (first.returncode, first.stderr) == (0, "")
    effective = yaml.safe_load(first.stdout)
    assert effective["server"]["frontend"]["address"] == ":1"
    assert effective["failover"]["hold"] == "1m"
    assert effective["failover"]["stable"] == "1s"
    assert [one["speed"] for one in effective["upstream"]["backends"]] == [9, 7]
    assert [one["id"] for one in effective["upstream"]["backends"]] == ["nowhere-invalid-1", "b"]
    assert yaml.safe_load(second.stdout) == effective
    schema = json.loads(fake.run("schema").stdout)
    Draft202012Validator(schema).validate(effective)


def sources_in(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the comments of a configuration by the text before them, where it stands first."""
    lines = (line.partition("  # ") for line in reversed(result.stdout.splitlines()))
    return {value.strip(): source for value, _, source in lines if source}


def test_check_tells_where_each_value_comes_from(fake: Shop) -> None:
    file = fake.config(
        """\
        upstream:
          backends:
            - url: fake://a:1
              speed: 9
              marks: {first_one: x}
        server:
          frontend: {compression: true}
          block_headers: [X-A]
        """
    )

    result = fake.run(
        "check", "-c", file, FE_ADDR=":1", WSGW_SERVER__BLOCK_HEADERS__1="X-B",
        WSGW_UPSTREAM__BACKENDS__0__API_KEY="hush"
    )  # fmt: skip

    sources = sources_in(result)
    assert sources["speed: 9"] == f"{file}:4"
    assert sources["- id: a-1"] == "default"
    assert sources["first-one: x"] == f"{file}:5"
    assert sources["second-one: ''"] == "default"
    assert sources["enabled: true"] == f"{file}:7"
    assert sources["address: ':1'"] == "FE_ADDR"
    assert sources["api-key: '***'"] == "WSGW_UPSTREAM__BACKENDS__0__API_KEY"
    assert sources["block-headers: [X-A, X-B]"] == f"{file}:8, WSGW_SERVER__BLOCK_HEADERS__1"
    assert sources["hold: 30s"] == "default"


def test_check_shows_what_holds_for_each_route_and_where_that_was_said(fake: Shop) -> None:
    (fake.folder / "secret").write_text("hush\n")
    file = fake.config(
        f"""\
        upstream: {{policy: least-connections, backends: [{{url: "fake://a:1"}}]}}
        failover: {{hold: 1m, ping-timeout: 7s}}
        valves:
          - {{kind: fake, password-file: '{fake.folder / "secret"}'}}
        routes:
          - id: own
            paths: ["/own/**", /x]
            headers: {{X-Tenant: blue}}
            failover: {{backoff: 90ms}}
            backends:
              - {{url: "fake://b:1", speed: 9}}
          - id: rest
            valves: []
            failover: false
        """
    )

    result = fake.run("check", "-c", file, WSGW_ROUTES__0__FAILOVER__STABLE="3s")
    again = fake.run("check", "-c", fake.config(result.stdout))

    assert (result.returncode, result.stderr) == (0, "")
    printed = yaml.safe_load(result.stdout)
    assert yaml.safe_load(again.stdout) == printed
    Draft202012Validator(json.loads(fake.run("schema").stdout)).validate(printed)
    own, rest = printed["routes"]
    assert (own["paths"], own["hosts"], own["headers"]) == (
        ["/own/**", "/x"],
        [],
        {"X-Tenant": "blue"},
    )
    assert (own["policy"], own["backends"][0]["speed"]) == ("least-connections", 9)
    assert own["valves"] == printed["valves"]
    assert own["failover"] == {**printed["failover"], "backoff": "90ms", "stable": "3s"}
    assert rest["valves"] == rest["gates"] == []
    assert (rest["failover"]["enabled"], rest["failover"]["hold"]) == (False, "1m")
    assert not {"ping-timeout", "dial-spacing"} & rest["failover"].keys()
    assert not {"backends", "policy"} & rest.keys()
    of_own = result.stdout.partition("- id: own")[2].partition("- id: rest")[0].splitlines()
    sources = {line.partition("  # ")[0].strip(): line.partition("  # ")[2] for line in of_own}
    assert sources["policy: least-connections"] == f"{file}:1"
    assert sources["speed: 9"] == f"{file}:11"
    assert sources["hold: 1m"] == sources["ping-timeout: 7s"] == f"{file}:2"
    assert sources["backoff: 90ms"] == f"{file}:9"
    assert sources["stable: 3s"] == "WSGW_ROUTES__0__FAILOVER__STABLE"
    assert sources["max-backoff: 1s"] == "default"
    assert sources[f"password-file: {fake.folder / 'secret'}"] == f"{file}:4"


def test_check_shows_the_file_of_a_secret_instead_of_a_mask(fake: Shop) -> None:
    secret = fake.folder / "secret"
    secret.write_text("hush\n")
    file = fake.config(f"upstream: {{backends: [{{url: 'fake://a:1', api-key-file: '{secret}'}}]}}")

    result = fake.run("check", "-c", file)

    assert sources_in(result)[f"api-key-file: {secret}"] == f"{file}:1"
    assert "hush" not in result.stdout


def test_check_tells_of_keys_without_effect_where_they_are_given(fake: Shop) -> None:
    file = fake.config("server: {write-buffer-size: 4096}\n")

    result = fake.run("check", "-c", file, BE_URLS="fake://a:1", FE_WRITE_TIMEOUT="3s")

    assert result.returncode == 0
    assert "write-buffer-size: 4KiB" in result.stdout
    assert "read-buffer-size" not in result.stdout
    first, second = sorted(result.stderr.splitlines())
    assert first.startswith(f"wsgw: {file}:1: server.write-buffer-size: accepted for wsbalancer's")
    assert second.startswith("wsgw: FE_WRITE_TIMEOUT: server.frontend.write-timeout: accepted for")


def test_check_probes_the_backends_when_it_is_asked_to(fake: Shop) -> None:
    file = fake.config(
        """
        upstream:
          backends:
            - {url: "fake://a:1", id: good}
            - {url: "fake://u:pw@b:1", id: refusing, at-probe: refuse}
            - {url: "fake://c:1", id: silent, at-probe: hang}
            - {url: "fake://d:1", id: closed, at-open: refuse}
            - {url: "fake://e:1", id: faulty, at-open: fail}
        failover: {dial-timeout: 100ms}
        """
    )

    unasked = fake.run("check", "-c", file)
    result = fake.run("check", "-c", file, "--connect")

    assert (unasked.returncode, unasked.stderr) == (0, "")
    assert result.returncode == 1
    assert result.stdout == unasked.stdout
    told = [line for line in result.stderr.splitlines() if line.startswith("wsgw: ")]
    assert told == [
        "wsgw: backend good can be reached",
        "wsgw: backend refusing cannot be reached: no pigeon at fake://u:***@b:1",
        "wsgw: backend silent cannot be reached: no answer within 0.1 s",
        "wsgw: backend closed cannot be reached: speed: too fast; speed: too slow",
        "wsgw: backend faulty cannot be reached: fault in its plugin: LookupError: out of pigeons",
    ]
    assert result.stderr.count("closing") == 5


def test_check_probes_the_backends_of_routes_too(fake: Shop) -> None:
    file = fake.config(
        """
        routes:
          - {id: a, paths: /a, backends: [{url: "fake://a:1"}]}
          - {id: b, backends: [{url: "fake://b:1", at-probe: hang}], failover: {dial-timeout: 90ms}}
        """
    )

    result = fake.run("check", "-c", file, "--connect")

    assert result.returncode == 1
    assert "wsgw: backend a-1 can be reached" in result.stderr
    assert "wsgw: backend b-1 cannot be reached: no answer within 0.09 s" in result.stderr


def test_check_succeeds_when_all_backends_can_be_reached(fake: Shop) -> None:
    result = fake.run("check", "--connect", BE_URLS="fake://a:1")

    assert result.returncode == 0
    assert "wsgw: backend a-1 can be reached" in result.stderr


def test_problems_of_file_variables_plugins_and_their_options_are_told_at_once(fake: Shop) -> None:
    file = fake.config(
        """\
        failovr: {}
        upstream:
          backends:
            - {url: "fake://a:1", sped: 3}
            - {url: "absent://a:2"}
            - {id: "!", url: "fake://a:3", speed: fast}
        """
    )

    result = fake.run("check", "-c", file, FE_ADDR="nowhere")

    told = [line.removeprefix("wsgw: ").partition(": ")[0] for line in result.stderr.splitlines()]
    assert result.returncode == 2
    assert sorted(told) == sorted([f"{file}:{n}" for n in (1, 4, 5, 6)] + ["FE_ADDR"])


def test_the_schema_has_the_options_of_plugins_and_leaves_out_broken_ones(fake: Shop) -> None:
    fake.install("broken", "broken", "raise RuntimeError('out of\\nfeathers')")

    result = fake.run("schema")

    assert result.returncode == 0
    entry = json.loads(result.stdout)["$defs"]["backend-entry"]["anyOf"]
    assert "backend of kind fake" in [kind["title"] for kind in entry]
    assert "out of feathers" in only_line(result.stderr)


def test_check_masks_secrets(fake: Shop) -> None:
    file = fake.config(
        """
        upstream:
          backends:
            - {url: "fake://joe:hush1@a:1/x?token=hush2&y=1", api-key: hush3}
        """
    )

    result = fake.run("check", "-c", file)

    [backend] = yaml.safe_load(result.stdout)["upstream"]["backends"]
    assert backend["url"] == "fake://joe:***@a:1/x?token=***&y=1"
    assert "hush" not in result.stdout + result.stderr


def test_check_tells_every_problem_in_a_line_of_its_own(fake: Shop) -> None:
    file = fake.config(
        """\
        upstream:
          backends:
            - url: fake://a:1
              sped: 3
            - url: fake://b:1
              speed: fast
        """
    )

    result = fake.run("check", "-c", file)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"wsgw: {file}:4: upstream.backends[0].sped: unknown key 'sped'; did you mean 'speed'?",
        f"wsgw: {file}:6: upstream.backends[1].speed: found 'fast', allowed: a whole number",
    ]


def test_a_broken_plugin_is_named_with_its_distribution_and_where_it_is_needed(shop: Shop) -> None:
    shop.install("acme", "fake", "raise RuntimeError('out of\\nfeathers')")

    result = shop.run("check", BE_URLS="fake://a:1")

    assert result.returncode == 2
    assert only_line(result.stderr) == (
        "wsgw: BE_URLS: upstream.backends[0].url: plugin acme_module of acme 9.9:"
        " cannot be imported: RuntimeError: out of feathers"
    )


@pytest.mark.parametrize("option", ["-c", "-config", "--config", "-config=", "--config="])
def test_the_file_is_named_in_each_programs_way(fake: Shop, option: str) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', id: here}]}")

    result = fake.run("check", *([option + file] if option.endswith("=") else [option, file]))

    assert (result.returncode, result.stderr) == (0, "")
    assert "id: here" in result.stdout


def test_a_url_of_wsbalancers_kind_is_warned_of(fake: Shop) -> None:
    result = fake.run("check", BE_URLS="fake:localhost:9090")

    assert result.returncode == 0
    assert "WARNING" in only_line(result.stderr)
    assert "'fake:localhost:9090' is taken for 'fake://localhost:9090'" in result.stderr


def test_an_unknown_option_is_a_usage_error(shop: Shop) -> None:
    result = shop.run("run", "--port", "1")

    assert result.returncode == 2
    assert "No such option" in result.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_who_forgets_the_option_of_a_file_is_told_it(shop: Shop, command: str) -> None:
    result = shop.run(command, "wsgw.yaml")

    assert result.returncode == 2
    assert "a file is given by -c FILE" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_tells_where_it_listens_and_stops_cleanly_at_a_signal(
    fake: Shop, number: signal.Signals
) -> None:
    process = fake.start("run", **RUN)
    port = int(wait_for(process, r"^wsgw: listening on 127\.0\.0\.1:(\d+), 1 backend$")[1])
    assert can_connect(port)

    process.send_signal(number)

    assert rest_of(process) == "closing\n"
    assert process.returncode == 0
    assert not can_connect(port)


def test_run_takes_everything_from_a_file_too(fake: Shop) -> None:
    file = fake.config(
        """
        server: {frontend: {address: "127.0.0.1:0"}, logging-level: INFO}
        upstream: {backends: [{url: "fake://a:1"}, {url: "fake://b:1"}]}
        """
    )
    process = fake.start("run", "-c", file)

    wait_for(process, r"^wsgw: listening on 127\.0\.0\.1:\d+, 2 backends$")
    wait_for(process, r" INFO .*admin API on 127\.0\.0\.1:\d+$")
    process.terminate()

    assert "stopped" in rest_of(process)
    assert process.returncode == 0


def test_a_stop_during_a_slow_start_is_clean(fake: Shop) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', at-open: hang}]}")
    process = fake.start("run", "-c", file, FE_ADDR="127.0.0.1:0")
    wait_for(process, "^opening$")

    process.terminate()

    assert rest_of(process) == "closing\n"
    assert process.returncode == 0


def test_a_stop_during_the_imports_is_clean(shop: Shop) -> None:
    shop.install(
        "acme",
        "fake",
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)",
    )
    process = shop.start("run", **RUN)
    wait_for(process, "^importing$")

    process.terminate()

    assert rest_of(process) == ""
    assert process.returncode == 0


def test_a_second_signal_ends_the_process_at_once(fake: Shop) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', at-close: hang}]}")
    process = fake.start("run", "-c", file, FE_ADDR="127.0.0.1:0")
    wait_for(process, "^wsgw: listening")
    process.terminate()
    wait_for(process, "^closing$")

    process.terminate()

    assert rest_of(process) == ""
    assert process.returncode == -signal.SIGTERM


def test_an_address_in_use_is_told_in_one_line(fake: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = fake.run("run", **{**RUN, "FE_ADDR": address})

    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("wsgw: ")]
    assert line == f"wsgw: cannot listen on {address}: address already in use"
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("at_open", "status", "told"),
    [
        ("refuse", 2, ["wsgw: speed: too fast", "wsgw: speed: too slow"]),
        ("fail", 1, ["wsgw: failed: backend a-1, kind 'fake': LookupError: out of pigeons"]),
    ],
)
def test_a_backend_that_cannot_open_is_told(
    fake: Shop, at_open: str, status: int, told: list[str]
) -> None:
    file = fake.config(f"upstream: {{backends: [{{url: 'fake://a:1', at-open: {at_open}}}]}}")

    result = fake.run("run", "-c", file, FE_ADDR="127.0.0.1:0")

    assert result.returncode == status
    assert result.stderr.splitlines() == ["opening", "closing", *told]


def test_a_traceback_is_shown_where_it_is_asked_for(fake: Shop) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', at-open: fail}]}")

    result = fake.run("run", "-c", file, FE_ADDR="127.0.0.1:0", WSGW_DEBUG="1")

    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "in act" in result.stderr


def test_run_allows_itself_as_many_open_files_as_it_may_have(fake: Shop) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        process = fake.start("run", **RUN, LOG_LEVEL="INFO")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    match = wait_for(process, r"room for about (\d+) sessions: (\d+) open files are allowed$")

    assert int(match[2]) == hard
    assert 0 < int(match[1]) <= hard // 2
    process.terminate()
    rest_of(process)


SHOW: list[Callable[[Shop], subprocess.CompletedProcess[str]]] = [
    lambda shop: shop.run("run", "-c", "/nowhere/wsgw.yaml"),
    lambda shop: shop.run("check", "-c", str(shop.folder)),
    lambda shop: shop.run("check", BE_URLS="x", FE_ADDR="y", LOG_LEVEL="z"),
    lambda shop: shop.run("run"),
]


@pytest.mark.parametrize("run", SHOW)
def test_no_mistake_of_an_operator_shows_a_traceback(
    shop: Shop, run: Callable[[Shop], subprocess.CompletedProcess[str]]
) -> None:
    result = run(shop)

    assert result.returncode == 2
    assert result.stderr
    assert all(line.startswith("wsgw: ") for line in result.stderr.splitlines())


def test_run_works_without_uvloop(fake: Shop) -> None:
    (fake.folder / "uvloop.py").write_text("raise ImportError('not for this platform')")
    process = fake.start("run", **RUN)
    wait_for(process, r"^wsgw: listening on 127\.0\.0\.1:\d+")

    process.terminate()

    assert rest_of(process) == "closing\n"
    assert process.returncode == 0
