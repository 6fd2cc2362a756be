"""`wsgw check`: the effective configuration with the source of each value, or its problems."""

from __future__ import annotations

import json
import subprocess
import textwrap

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no type hints

from .command_shop import FAKE_PLUGIN, Shop
from .tls_ends import TlsFiles

NEEDS_MODULE = """
import sys

print("imported before:", "{package}" in sys.modules, file=sys.stderr)
import {module}
"""


def test_check_prints_an_equivalent_configuration_file(fake: Shop) -> None:
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
    second = fake.call("check", "--config", fake.config(first.stdout))

    assert (first.returncode, first.stderr) == (0, "")
    effective = yaml.safe_load(first.stdout)
    assert effective["server"]["frontend"]["address"] == ":1"
    assert effective["failover"]["hold"] == "1m"
    assert effective["failover"]["stable"] == "1s"
    assert [one["speed"] for one in effective["upstream"]["backends"]] == [9, 7]
    assert [one["id"] for one in effective["upstream"]["backends"]] == ["nowhere-invalid-1", "b"]
    assert yaml.safe_load(second.stdout) == effective
    schema = json.loads(fake.call("schema").stdout)
    Draft202012Validator(schema).validate(effective)


@pytest.mark.parametrize("scheme", ["amqps", "https", "rediss", "wss"])
def test_check_reports_a_missing_tls_file_once(shop: Shop, scheme: str) -> None:
    file = shop.config(
        f"""\
        upstream:
          backends:
            - url: {scheme}://a:1
              tls: {{ca: /no/ca.pem}}
        """
    )

    result = shop.call("check", "-c", file)

    assert result.returncode == 2
    assert result.stderr == (
        f"wsgw: {file}:4: upstream.backends[0].tls.ca: /no/ca.pem:"
        " cannot be read: no such file or directory\n"
    )


def sources_in(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Map the text of each line to its comment; the first line of a text counts."""
    lines = (line.partition("  # ") for line in reversed(result.stdout.splitlines()))
    return {value.strip(): source for value, _, source in lines if source}


@pytest.mark.parametrize("module", ["django.conf", "flask.config", "jinja2.sandbox"])
def test_what_dynaconf_supports_is_imported_only_by_a_plugin_that_needs_it(
    shop: Shop, module: str
) -> None:
    package = module.partition(".")[0]
    pytest.importorskip(package)
    source = textwrap.dedent(FAKE_PLUGIN) + NEEDS_MODULE.format(package=package, module=module)
    shop.install("acme", "fake", source)

    result = shop.run("check", BE_URLS="fake://a:1")

    assert (result.returncode, result.stderr) == (0, "imported before: False\n")


def test_check_shows_the_source_of_each_value(fake: Shop) -> None:
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


def test_check_shows_the_settings_of_each_route_with_their_sources(fake: Shop) -> None:
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

    result = fake.call("check", "-c", file, WSGW_ROUTES__0__FAILOVER__STABLE="3s")
    again = fake.call("check", "-c", fake.config(result.stdout))

    assert (result.returncode, result.stderr) == (0, "")
    printed = yaml.safe_load(result.stdout)
    assert yaml.safe_load(again.stdout) == printed
    Draft202012Validator(json.loads(fake.call("schema").stdout)).validate(printed)
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


def test_check_shows_the_file_name_of_a_secret(fake: Shop) -> None:
    secret = fake.folder / "secret"
    secret.write_text("hush\n")
    file = fake.config(f"upstream: {{backends: [{{url: 'fake://a:1', api-key-file: '{secret}'}}]}}")

    result = fake.call("check", "-c", file)

    assert sources_in(result)[f"api-key-file: {secret}"] == f"{file}:1"
    assert "hush" not in result.stdout


def test_check_warns_of_keys_without_effect_with_their_place(fake: Shop) -> None:
    file = fake.config("server: {write-buffer-size: 4096}\n")

    result = fake.call("check", "-c", file, BE_URLS="fake://a:1", FE_WRITE_TIMEOUT="3s")

    assert result.returncode == 0
    assert "write-buffer-size: 4KiB" in result.stdout
    assert "read-buffer-size" not in result.stdout
    first, second = sorted(result.stderr.splitlines())
    assert first.startswith(f"wsgw: {file}:1: server.write-buffer-size: accepted for wsbalancer's")
    assert second.startswith("wsgw: FE_WRITE_TIMEOUT: server.frontend.write-timeout: accepted for")


def test_check_connect_probes_the_backends(fake: Shop) -> None:
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

    unasked = fake.call("check", "-c", file)
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
        "wsgw: backend faulty cannot be reached: its plugin raised LookupError: out of pigeons",
    ]
    assert result.stderr.count("closing") == 5


def test_check_connect_probes_the_backends_of_routes(fake: Shop) -> None:
    file = fake.config(
        """
        routes:
          - {id: a, paths: /a, backends: [{url: "fake://a:1"}]}
          - {id: b, backends: [{url: "fake://b:1", at-probe: hang}], failover: {dial-timeout: 90ms}}
        """
    )

    result = fake.call("check", "-c", file, "--connect")

    assert result.returncode == 1
    assert "wsgw: backend a-1 can be reached" in result.stderr
    assert "wsgw: backend b-1 cannot be reached: no answer within 0.09 s" in result.stderr


def test_check_connect_succeeds_when_all_backends_are_reachable(fake: Shop) -> None:
    result = fake.call("check", "--connect", BE_URLS="fake://a:1")

    assert result.returncode == 0
    assert "wsgw: backend a-1 can be reached" in result.stderr


def test_check_reports_all_problems_of_file_variables_and_plugins_at_once(fake: Shop) -> None:
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

    result = fake.call("check", "-c", file, FE_ADDR="nowhere")

    told = [line.removeprefix("wsgw: ").partition(": ")[0] for line in result.stderr.splitlines()]
    assert result.returncode == 2
    assert told == [f"{file}:{n}" for n in (1, 4, 5, 6)] + ["FE_ADDR"]


def test_warnings_are_in_the_order_of_the_lines(fake: Shop) -> None:
    file = fake.config(
        """\
        upstream:
          backends:
            - {url: "fake://a:1", pause: 2500}
          health: {interval: 1000}
        failover:
          hold: 1000s
          dial-timeout: 10000
          stable: 999
          backoff: "2000"
        routes:
          - {id: r, failover: {hold: 5000}}
        """
    )

    result = fake.call("check", "-c", file, BE_URL="ws://b:1")

    first, *others = result.stderr.splitlines()
    assert result.returncode == 0
    assert first.endswith("BE_URL: unknown variable; did you mean 'BE_URLS'?")
    counts = "a number without a unit is in seconds: this is"
    assert others == [
        f"wsgw: {file}:{line}: {key}: {counts} {length}; for milliseconds write {meant}"
        for line, key, length, meant in (
            (3, "upstream.backends[0].pause", "41m40s", "2500ms"),
            (4, "upstream.health.interval", "16m40s", "1000ms"),
            (7, "failover.dial-timeout", "2h46m40s", "10000ms"),
            (9, "failover.backoff", "33m20s", "2000ms"),
            (11, "routes[0].failover.hold", "1h23m20s", "5000ms"),
        )
    ]


def test_check_masks_secrets(fake: Shop) -> None:
    file = fake.config(
        """
        upstream:
          backends:
            - {url: "fake://joe:hush1@a:1/x?token=hush2&y=1", api-key: hush3}
        """
    )

    result = fake.call("check", "-c", file)

    [backend] = yaml.safe_load(result.stdout)["upstream"]["backends"]
    assert backend["url"] == "fake://joe:***@a:1/x?token=***&y=1"
    assert "hush" not in result.stdout + result.stderr


def test_check_reports_each_problem_on_its_own_line(fake: Shop) -> None:
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

    result = fake.call("check", "-c", file)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"wsgw: {file}:4: upstream.backends[0].sped: unknown key 'sped'; did you mean 'speed'?",
        f"wsgw: {file}:6: upstream.backends[1].speed: found 'fast', allowed: a whole number",
    ]


@pytest.mark.parametrize("option", ["-c", "-config", "--config", "-config=", "--config="])
def test_file_option_is_accepted_in_each_spelling(fake: Shop, option: str) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', id: here}]}")

    result = fake.call("check", *([option + file] if option.endswith("=") else [option, file]))

    assert (result.returncode, result.stderr) == (0, "")
    assert "id: here" in result.stdout


@pytest.mark.parametrize("command", ["check", "run"])
def test_unusable_tls_file_is_reported_with_key_and_file(
    shop: Shop, tls_files: TlsFiles, command: str
) -> None:
    backend = {"url": "wss://backend.example", "tls": {"ca": "/no/such.pem"}}
    tls = {"certificate": str(tls_files.authority)}
    server = {"frontend": {"address": "127.0.0.1:0", "tls": tls}}
    file = shop.config(yaml.safe_dump({"server": server, "upstream": {"backends": [backend]}}))

    done = shop.run(command, "-c", file)

    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first.startswith(f"wsgw: {file}:")
    assert f"server.frontend.tls.certificate: {tls_files.authority}: there is no PEM" in first
    assert second.startswith(f"wsgw: {file}:")
    assert "upstream.backends[0].tls.ca: /no/such.pem: cannot be" in second


MADE_ONCE = """
    import sys
    from wsgw_core.api import ConfigurationError, Options, hookimpl, per_session

    WSGW_API = "1.0"

    class Words(Options):
        then: str = ""

    class Made:
        def __init__(self, options, context):
            print("made", options.then, file=sys.stderr)
            context.metrics.counter("words", "Words.")
            if options.then == "refuse":
                raise ConfigurationError("no such words")
            if options.then == "fail":
                raise LookupError("a bug")

        async def open(self):
            print("opened", file=sys.stderr)

        def for_session(self, session): ...
        def check(self, handshake): ...

    class OfOneSession:
        def __init__(self, session): ...

    @hookimpl
    def wsgw_register_valves(registry):
        registry.add("words", Words, Made)
        registry.add("odd", Words, lambda options, context: None)
        registry.add("forgetful", Words, per_session(OfOneSession))

    @hookimpl
    def wsgw_register_gates(registry):
        registry.add("words", Words, Made)
"""


def test_check_makes_each_valve_once_and_reports_failures(fake: Shop) -> None:
    fake.install("words-plugin", "words odd forgetful", MADE_ONCE)
    file = fake.config(
        """\
        upstream: {backends: [{url: "fake://a:1"}]}
        valves:
          - {kind: words}
          - {kind: words, then: fail}
          - {kind: forgetful}
        routes:
          - id: r
            paths: [/r]
            valves:
              - {kind: odd}
            gates:
              - {kind: words, then: refuse}
        """
    )

    result = fake.call("check", "-c", file)

    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert sorted(line for line in lines if line.startswith("made")) == [
        "made ",
        "made fail",
        "made refuse",
    ]
    told = [line.removeprefix(f"wsgw: {file}:") for line in lines[3:]]
    odd = "its factory returned NoneType, which lacks for_session"
    lacks = "OfOneSession cannot be called with options and session: too many positional arguments"
    assert told == [
        "4: valves[1]: valve, kind 'words': LookupError: a bug",
        f"5: valves[2]: valve, kind 'forgetful': TypeError: {lacks}",
        f"10: routes[0].valves[0]: valve, kind 'odd': {odd}",
        "12: routes[0].gates[0]: no such words",
    ]


def test_check_does_not_open_the_objects_it_makes(fake: Shop) -> None:
    fake.install("words-plugin", "words", MADE_ONCE)
    file = fake.config("valves: [{kind: words}]\n")

    result = fake.call("check", "-c", file, BE_URLS="fake://a:1")

    assert result.returncode == 0
    assert result.stderr.splitlines() == ["made "]


def test_check_warns_of_valves_that_fit_none_of_the_backends(shop: Shop) -> None:
    file = shop.config(
        """\
        upstream:
          backends:
            - url: amqp://a:1
            - url: http://b:1
            - url: redis://c:1
            - url: ws://d:1
        valves:
          - kind: actioncable
          - kind: graphql
          - kind: mqtt
          - kind: socketio
          - kind: stomp
          - kind: jsonrpc
        """
    )

    result = shop.call("check", "-c", file)

    assert result.returncode == 0
    assert result.stderr.splitlines() == [
        f"wsgw: {file}:{line}: valves[{line - 8}].kind: its protocol needs a server with a"
        " connection for each client; backends of kind amqp, http, redis have none"
        for line in range(8, 13)
    ]
