"""Loading the configuration: defaults, file, environment, and what is said when it is wrong."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsgw_core.api import ConfigurationError
from wsgw_core.config.address import Address
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.sources import load_config, read_sources
from wsgw_core.config.wsbalancer_variables import ALL_VARIABLES

BACKEND = "upstream: {backends: [{url: 'ws://a:1'}]}\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes, name: str = "wsgw.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def problems_of(file: Path | None, environment: dict[str, str] | None = None) -> list[str]:
    """Return the problems, with the file's folder left out."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environment or {})
    assert caught.value.problems
    assert not [problem for problem in caught.value.problems if "\n" in problem]
    folder = f"{file.parent}{os.sep}" if file else "\0"
    return [problem.removeprefix(folder) for problem in caught.value.problems]


def ids(config: GatewayConfig) -> list[str]:
    return [backend.effective_id for backend in config.upstream.backends]


def test_the_environment_alone_is_enough() -> None:
    config = load_config(
        None,
        {
            "FE_ADDR": "127.0.0.1:0",
            "ADM_ADDR": ":9",
            "LOG_LEVEL": "info",
            "BE_URLS": "ws://a:1, ws://b:2/x",
            "BE_URL_IDS": "blue,green",
        },
    )

    assert config.server.frontend.address == Address("127.0.0.1", 0)
    assert config.server.admin.address == Address("", 9)
    assert config.server.logging_level == "INFO"
    assert ids(config) == ["blue", "green"]
    assert [backend.url for backend in config.upstream.backends] == ["ws://a:1", "ws://b:2/x"]


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(write: Write) -> None:
    file = write(
        BACKEND
        + """
server:
  frontend: {address: ":1"}
  admin: {address: ":2"}
failover: {hold: 3s}
"""
    )

    config = load_config(file, {"FE_ADDR": ":5"})

    assert config.server.frontend.address == Address("", 5)
    assert config.server.admin.address == Address("", 2)
    assert config.failover.hold == 3.0
    assert (
        config.failover.stable
        == GatewayConfig.model_validate(
            {"upstream": {"backends": [{"url": "ws://a:1"}]}}
        ).failover.stable
    )


def test_be_urls_adds_backends_behind_those_of_the_file(write: Write) -> None:
    file = write(BACKEND)

    config = load_config(file, {"BE_URLS": "ws://b:1,ws://c:1", "BE_URL_IDS": "x,y"})

    assert ids(config) == ["a-1", "x", "y"]


@pytest.mark.parametrize("text", ["upstream:\n", "upstream: {backends: }\n", "# nothing\n", ""])
def test_be_urls_gives_backends_to_a_file_without_any(write: Write, text: str) -> None:
    assert ids(load_config(write(text), {"BE_URLS": "ws://b:1"})) == ["b-1"]


def test_empty_variables_count_as_not_set(write: Write) -> None:
    empty = {"FE_ADDR": "", "BE_URLS": " ", "BE_URL_IDS": "", "LOG_LEVEL": ""}

    assert load_config(write(BACKEND), empty) == load_config(write(BACKEND), {})


def test_dashes_and_underscores_are_the_same(write: Write) -> None:
    dashes = write(BACKEND + "failover: {ping-timeout: 7s, retry-statuses: [408]}\n")
    underscores = write(BACKEND + "failover: {ping_timeout: 7s, retry_statuses: [408]}\n")

    assert load_config(dashes, {}) == load_config(underscores, {})
    assert load_config(underscores, {}).failover.ping_timeout == 7.0


@pytest.mark.parametrize("switch", [True, False])
def test_a_section_that_can_be_switched_takes_the_switch_alone(
    write: Write, *, switch: bool
) -> None:
    text = f"server: {{frontend: {{compression: {switch}}}}}\nfailover: {switch}"
    config = load_config(write(text.lower()), {"BE_URLS": "ws://a:1"})
    assert config.server.frontend.compression.enabled == config.failover.enabled == switch


def test_toml_says_the_same_as_yaml(write: Write) -> None:
    toml = '[[upstream.backends]]\nurl = "ws://a:1"\n[failover]\nping_timeout = "7s"\n'
    yaml_text = BACKEND + "failover: {ping-timeout: 7s}\n"

    loaded = load_config(write(toml, "wsgw.toml"), {})

    assert loaded == load_config(write(yaml_text), {})


def test_text_is_never_interpreted(write: Write) -> None:
    file = write(
        """
upstream:
  backends:
    - url: ws://a:1
      id: 1e5
      token: "@format {env[HOME]}"
      list: [dynaconf_merge, "@jinja {{ 1 }}", no, 12:30, 2020-01-01]
      dynaconf_merge: true
      copy: {dynaconf_merge: false, under_score: "@int 3", UPPER: x}
"""
    )

    [backend] = load_config(file, {"BE_URL_IDS": ""}).upstream.backends

    assert backend.id == "1e5"
    assert backend.options == {
        "token": "@format {env[HOME]}",
        "list": ["dynaconf_merge", "@jinja {{ 1 }}", "no", "12:30", "2020-01-01"],
        "dynaconf-merge": True,
        "copy": {"dynaconf_merge": False, "under_score": "@int 3", "UPPER": "x"},
    }


def test_variables_of_the_library_change_nothing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_config(write(BACKEND), {"FE_ADDR": ":1"})
    for name in ("MERGE_ENABLED", "AUTO_CAST", "DOTTED_LOOKUP", "ENVIRONMENTS", "SYSENV_FALLBACK"):
        monkeypatch.setenv(f"{name}_FOR_DYNACONF", "true")
    monkeypatch.setenv("DYNACONF_CONFIG", "{'server': 1}")
    monkeypatch.setenv("CONFIG", "{'server': 1}")

    assert load_config(write(BACKEND), {"FE_ADDR": ":1"}) == plain


def test_anchors_and_merge_keys_work(write: Write) -> None:
    file = write(
        """
upstream:
  backends:
    - &first {url: ws://a:1, ping-time: 5s, other: 1}
    - <<: *first
      url: ws://b:1
      other: 2
"""
    )

    second = load_config(file, {}).upstream.backends[1]

    assert second.url == "ws://b:1"
    assert second.options == {"ping-time": "5s", "other": 2}


@pytest.mark.parametrize("odd", ["ws:localhost:9090", "wss:localhost:9090/x"])
def test_a_url_of_wsbalancers_kind_is_completed_with_a_warning(
    odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        config = load_config(None, {"BE_URLS": odd})

    assert config.upstream.backends[0].url == odd.replace(":", "://", 1)
    assert config.upstream.backends[0].effective_id == "localhost-9090"
    assert f"BE_URLS: upstream.backends[0].url: '{odd}' is taken for" in caplog.text


def test_a_proper_url_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    load_config(None, {"BE_URLS": "ws://u:p@localhost:9090/a:1"})

    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "server: {frontend: {adress: ':1'}}",
            "wsgw.yaml:2: server.frontend.adress: unknown key 'adress'; did you mean 'address'?",
        ),
        ("failovr: {}", "wsgw.yaml:2: failovr: unknown key 'failovr'; did you mean 'failover'?"),
        (
            "zzz: 1",
            (
                "wsgw.yaml:2: zzz: unknown key 'zzz'; allowed: drain, failover, gates, limits,"
                " listeners, routes, server, upstream, valves"
            ),
        ),
        ("Server: {}", "wsgw.yaml:2: Server: unknown key 'Server'; did you mean 'server'?"),
        (
            "failover:\n  hold: soon",
            "wsgw.yaml:3: failover.hold: found 'soon': not a duration such as 10s, 1m30s or 250ms",
        ),
        (
            "failover: {retry-statuses: [\n408,\nmany]}",
            "wsgw.yaml:4: failover.retry-statuses[1]: found 'many', allowed: a whole number",
        ),
        (
            "failover: {retry-statuses: 408}",
            "wsgw.yaml:2: failover.retry-statuses: found 408, allowed: a list",
        ),
        (
            "failover: maybe",
            "wsgw.yaml:2: failover: found 'maybe', allowed: true, false or a mapping (keys and",
        ),
        (
            "failover: {enabled: maybe}",
            "wsgw.yaml:2: failover.enabled: found 'maybe', allowed: true or false",
        ),
        (
            "server: {logging-level: LOUD}",
            (
                "wsgw.yaml:2: server.logging-level: found 'LOUD', allowed: 'DEBUG', 'INFO', 'WARN'"
                " or 'ERROR'"
            ),
        ),
        (
            "server: 5",
            "wsgw.yaml:2: server: found 5, allowed: a mapping (keys and values)",
        ),
        ("valves: {kind: x}", "wsgw.yaml:2: valves: found {'kind': 'x'}, allowed: a list"),
        (
            "routes: [{id: r, paths: [/x], backends: [{uri: 'ws://a:1', ping-time: 1s}]}]",
            (
                "wsgw.yaml:2: routes[0].backends[0]: needs 'url', or 'kind' and 'id'; it has only"
                " 'ping-time', 'uri'"
            ),
        ),
        (
            "routes: [{id: r, paths: [/x], backends: [{}]}]",
            "wsgw.yaml:2: routes[0].backends[0]: needs 'url', or 'kind' and 'id'; it is empty",
        ),
        (
            "routes: [{id: a b}]",
            ("wsgw.yaml:2: routes[0].id: found 'a b', allowed: letters, digits, '.', '_' and '-'"),
        ),
        (
            "routes: [{id: r, headers: {'X Y': z}}]",
            (
                "wsgw.yaml:2: routes[0].headers['X Y']: found 'X Y', allowed: the name of a"
                " header: no spaces, colons, quotes or brackets"
            ),
        ),
        (
            "routes: [{id: r, headers: {X: ' z'}}]",
            (
                "wsgw.yaml:2: routes[0].headers.X: found ' z', allowed: printable ASCII"
                " characters, no space at either end"
            ),
        ),
        ("valves: [{speed: 1}]", "wsgw.yaml:2: valves[0].kind: is missing"),
        (
            "server: {frontend: {address: 8080}}",
            (
                "wsgw.yaml:2: server.frontend.address: found 8080: not an address such as"
                " 127.0.0.1:8080, :8080 or [::1]:8080"
            ),
        ),
        ("valves: [5]", "wsgw.yaml:2: valves[0]: found 5, allowed: a mapping (keys and values)"),
        ("gates: [{kind: 5}]", "wsgw.yaml:2: gates[0].kind: found 5, allowed: text"),
        ("limits: {ledger-messages: 1.5}", "wsgw.yaml:2: limits.ledger-messages: found 1.5"),
        ("failover: {}\n\nfailover: {}", "wsgw.yaml:4: key 'failover' stands in line 2 already"),
        (
            "failover: {ping-timeout: 1s, ping_timeout: 2s}",
            "wsgw.yaml:2: failover.ping-timeout: is written as 'ping-timeout' too",
        ),
        ("7: x", "wsgw.yaml:2: found '7' as key, allowed: text"),
        ("? [a]\n: x", "wsgw.yaml:2: found 'a collection' as key, allowed: text"),
        ("x: !!python/name:os.system ''", "wsgw.yaml:2: found '': the tag !!python/name:os.system"),
        ("server: !odd {}", "wsgw.yaml:2: the tag !odd is not supported"),
        ("<<: 5", "wsgw.yaml:2: '<<' takes a mapping"),
        (f"x: {'9' * 5000}", "wsgw.yaml:2: found '9999"),
        ('x: "\\ud800"', "wsgw.yaml:2: found "),
    ],
)
def test_a_problem_is_told_with_line_key_path_and_what_is_allowed(
    write: Write, text: str, expected: str
) -> None:
    problems = problems_of(write(f"upstream: {{backends: [{{url: 'ws://a:1'}}]}}\n{text}\n"))

    assert [problem for problem in problems if problem.startswith(expected)], problems


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [\nb: }", "wsgw.yaml:2: not YAML: "),
        ("a: 'x\nb: 1", "wsgw.yaml:1: not YAML: a quote that is not closed"),
        ("a:\n  b: 1\n c: 2", "wsgw.yaml:3: not YAML: indented otherwise than"),
        ("a:\n  b: 1\n  - c", "wsgw.yaml:3: not YAML: indented otherwise than"),
        ("a: 1\n  b: 2", "wsgw.yaml:2: not YAML: a colon too many, or indented further"),
        ("a: 1\nb\n", "wsgw.yaml:2: not YAML: a key without a colon"),
        ("a: @b", "wsgw.yaml:1: not YAML: a value that begins with such a character needs quotes"),
        ("\ta: 1", "wsgw.yaml:1: not YAML: a tab: indent with spaces"),
        ("a: *nobody", "wsgw.yaml:1: not YAML: "),
        ("--- {}\n--- {}", "wsgw.yaml:2: not YAML: "),
        ("a: 1\nb: \0", "wsgw.yaml:2: not YAML: "),
        ('"\\UFFFFFFFF"', "wsgw.yaml: not YAML: "),
        (b"a: 1\nb: \xff", "wsgw.yaml:2: not UTF-8 text"),
        ("a: 1".encode("utf-16"), "wsgw.yaml:1: not UTF-8 text"),
        ("- a\n- b", "wsgw.yaml: found ['a', 'b'], allowed: a mapping"),
        ("text", "wsgw.yaml: found 'text', allowed: a mapping"),
        ("!!binary aaaa", "wsgw.yaml:1: found 'aaaa': the tag !!binary is not supported"),
        ("[" * 5000, "wsgw.yaml: not usable: nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "wsgw.yaml: not usable: nested more than 50"),
        ("a: &a [*a]", "wsgw.yaml: not usable: "),
        ("a: &a {<<: *a}", "wsgw.yaml: not usable: "),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "\n".join(
                f"{key}: &{key} [{', '.join([f'*{of}'] * 10)}]"
                for of, key in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "wsgw.yaml: not usable: ",
        ),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_problem(
    write: Write, content: str | bytes, expected: str
) -> None:
    [problem] = problems_of(write(content))

    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("a = [1,\n= 2", "wsgw.toml: not TOML: "), ("a = " + "[" * 5000, "wsgw.toml: not TOML: ")],
)
def test_broken_toml_is_one_problem(write: Write, content: str, expected: str) -> None:
    [problem] = problems_of(write(content, "wsgw.toml"))

    assert problem.startswith(expected)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "no.yaml") == ["no.yaml: there is no such file"]


def test_a_directory_is_told(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path)

    assert problem.endswith("cannot be read: Is a directory")


def test_an_unreadable_file_is_told(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    file = write(BACKEND)
    # Who runs the tests may be allowed to read every file.
    monkeypatch.setattr(Path, "open", refuse)

    assert problems_of(file) == ["wsgw.yaml: cannot be read: Permission denied"]


def test_an_impossible_file_name_is_told() -> None:
    [problem] = problems_of(Path("a\0b"))

    assert "cannot be read" in problem


def test_a_file_that_is_far_too_large_is_told_without_reading_it_all() -> None:
    [problem] = problems_of(Path("/dev/zero"))

    assert problem.startswith("zero: larger than ")


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "upstream: {}\n", "upstream: {backends: []}\n", "server: {}"]
)
def test_a_configuration_without_backends_says_how_to_give_one(write: Write, text: str) -> None:
    [problem] = problems_of(write(text))

    assert problem.endswith(
        "no backend: give one in upstream.backends of a file (option -c) or in BE_URLS"
    )


def test_where_routes_have_the_backends_none_is_asked_for(write: Write) -> None:
    routes = "routes: [{id: a, backends: [{url: ws://a:1}]}]\n"
    load_config(write(routes), {})

    [problem] = problems_of(write(f"upstream: {{backends: []}}\n{routes}"))

    assert problem.endswith(
        "upstream.backends: needs at least 1, found 0;"
        " leave it out where each route has 'backends' of its own"
    )


def test_no_backend_is_asked_for_when_the_file_could_not_be_read(tmp_path: Path) -> None:
    problems = problems_of(tmp_path / "no.yaml", {"FE_ADDR": "nowhere"})

    assert len(problems) == 2
    assert problems[1].startswith("FE_ADDR: server.frontend.address: found 'nowhere'")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FE_ADDR": "here"}, "FE_ADDR: server.frontend.address: found 'here': not an address"),
        ({"ADM_ADDR": ":99999"}, "ADM_ADDR: server.admin.address: found ':99999'"),
        ({"LOG_LEVEL": "x"}, "LOG_LEVEL: server.logging-level: found 'x', allowed: 'DEBUG'"),
        ({"BE_URL_IDS": "a"}, "BE_URL_IDS: found 1 ids for 0 URLs in BE_URLS, allowed: one for"),
        (
            {"BE_URLS": "ws://b:1,ws://c:1", "BE_URL_IDS": "b"},
            "BE_URL_IDS: found 1 ids for 2 URLs in BE_URLS, allowed: one for each",
        ),
        ({"BE_URLS": "ws://b:1,,ws://c:1"}, "BE_URLS: item 2 is empty"),
        ({"BE_URLS": "nothing"}, "upstream.backends[1]: 'url' needs a scheme"),
        (
            {"BE_URLS": "ws://b:1 ws://c:1"},
            "BE_URLS: upstream.backends[1].url: found 'ws://b:1 ws://c:1': a URL has no spaces",
        ),
        (
            {"BE_URLS": "localhost:9090"},
            (
                "BE_URLS: upstream.backends[1].url: found 'localhost:9090': no scheme, such as"
                " ws://localhost:9090"
            ),
        ),
        (
            {"BE_URLS": "ws://b:1", "BE_URL_IDS": "a b"},
            "BE_URL_IDS: upstream.backends[1].id: found 'a b'",
        ),
        ({"BE_URLS": "ws://a:1"}, "BE_URLS: upstream.backends[1].url: the id 'a-1' is that of"),
    ],
)
def test_a_problem_of_a_variable_names_it(
    write: Write, environment: dict[str, str], expected: str
) -> None:
    problems = problems_of(write(BACKEND), environment)

    assert [problem for problem in problems if expected in problem], problems


def test_all_problems_of_all_sources_are_told_at_once(write: Write) -> None:
    file = write("foo: 1\nfoo: 2\nserver: 5\nfailover: {hold: x}\nlimits: {max_header: 1}\n")

    problems = problems_of(file, {"FE_ADDR": "x", "BE_URLS": "ws://a:1", "BE_URL_IDS": "a,b"})

    for part in ("key 'foo'", "foo: unknown", "server: found 5", "failover.hold", "max-header:"):
        assert [problem for problem in problems if part in problem], (part, problems)
    assert [problem for problem in problems if problem.startswith("FE_ADDR: ")]
    assert [problem for problem in problems if problem.startswith("BE_URL_IDS: ")]
    assert len(problems) == 7


def test_the_origin_of_a_value_is_the_source_that_won(write: Write) -> None:
    file = write(BACKEND + "server:\n  frontend:\n    address: ':1'\nfailover:\n  hold: 1s\n")

    origins = read_sources(file, {"FE_ADDR": ":2", "BE_URLS": "ws://b:1"}).origins

    assert origins.place(("server", "frontend", "address")) == "FE_ADDR: server.frontend.address"
    assert origins.place(("failover", "hold")).endswith("wsgw.yaml:6: failover.hold")
    assert origins.place(("upstream", "backends", 0, "url", "x")).startswith(f"{file}:1: ")
    assert origins.place(("upstream", "backends", 1, "url")).startswith("BE_URLS: ")


def test_no_password_is_told() -> None:
    [problem] = problems_of(None, {"BE_URLS": "amqp://joe:hush@h:1/", "BE_URL_IDS": "a/b"})
    problems = problems_of(None, {"BE_URLS": "//joe:hush@h:1/"})

    assert "hush" not in " ".join([problem, *problems])


NAMES = st.one_of(
    st.sampled_from(["server", "upstream", "failover", "limits", "valves", "backends", "frontend"]),
    st.sampled_from(["routes", "paths", "hosts", "headers", "policy", "priority", "gates"]),
    st.sampled_from(["address", "url", "id", "kind", "hold", "on-error", "ping_timeout"]),
    st.sampled_from(["retry-statuses", "block-headers", "dynaconf_merge", "_x", "X", "<<"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [":8080", "ws://a:1", "ws:b:1", "10s", "a", "@format {x}", "dynaconf_merge", "1e5", "64KiB"]
    ),
    st.sampled_from(["/**", "/a/*,/b", "*.example", "[::1]", "least-connections", "round-robin"]),
)
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
ROUTES = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from("abc")},
        optional={
            "paths": st.lists(st.sampled_from(["/a", "/a/*", "/**"]), max_size=2) | TREES,
            "hosts": st.lists(st.sampled_from(["a", "*.b"]), max_size=2) | TREES,
            "headers": st.dictionaries(st.sampled_from(["X-A", "x_b"]), SCALARS) | TREES,
            "backends": st.lists(
                st.fixed_dictionaries(
                    {"url": st.sampled_from(["ws://a:1", "ws:b:1", "dns+ws://c:1"])},
                    optional={"id": st.sampled_from("abc"), "priority": SCALARS},
                ),
                max_size=2,
            )
            | TREES,
            "policy": st.just("least-connections") | TREES,
            "failover": st.dictionaries(NAMES, SCALARS, max_size=2) | TREES,
            "valves": TREES,
            "gates": st.just([]) | TREES,
        },
    ),
    max_size=3,
)
SECTIONS = st.fixed_dictionaries(
    {"upstream": st.just({"backends": [{"url": "ws://a:1", "ping_time": "1s"}]}) | TREES},
    optional={
        "server": st.dictionaries(NAMES, TREES, max_size=3) | TREES,
        "failover": st.dictionaries(NAMES, SCALARS, max_size=3) | TREES,
        "valves": st.lists(st.dictionaries(NAMES, TREES, max_size=3), max_size=3) | TREES,
        "limits": TREES,
        "routes": ROUTES | TREES,
    },
)
PARTS = st.one_of(
    st.sampled_from(["ROUTES", "PATHS", "HOSTS", "HEADERS", "POLICY", "GATES", "X_TENANT"]),
    st.sampled_from(["SERVER", "UPSTREAM", "FAILOVER", "LIMITS", "VALVES", "BACKENDS", "FRONTEND"]),
    st.sampled_from(["ADDRESS", "URL", "ID", "KIND", "HOLD", "TLS", "PING_TIME", "PASS_HEADERS"]),
    st.sampled_from(["0", "1", "2", "", "_", "x", "DYNACONF_MERGE", "[0]", "COMPRESSION"]),
    st.text(st.characters(exclude_characters="\0="), max_size=3),
)
WSGW_NAMES = st.lists(PARTS, max_size=5).map(lambda parts: "WSGW_" + "__".join(parts))
VARIABLES = st.dictionaries(
    st.sampled_from([variable.name for variable in ALL_VARIABLES])
    | WSGW_NAMES
    | st.sampled_from(
        [
            "WSGW_UPSTREAM__BACKENDS__0__URL",
            "WSGW_UPSTREAM__BACKENDS__0__TLS__CA",
            "WSGW_UPSTREAM__BACKENDS__1__PASS_HEADERS__0",
            "WSGW_SERVER__BLOCK_HEADERS__0",
            "WSGW_FAILOVER",
            "WSGW_ROUTES__0__ID",
            "WSGW_ROUTES__0__PATHS",
            "WSGW_ROUTES__0__HEADERS__X_TENANT",
            "WSGW_ROUTES__0__FAILOVER",
            "WSGW_ROUTES__0__FAILOVER__HOLD",
            "WSGW_ROUTES__0__BACKENDS__0__URL",
            "WSGW_ROUTES__1__ID",
        ]
    ),
    st.one_of(
        st.text(st.characters(exclude_characters="\0"), max_size=12),
        st.sampled_from([":0", "ws://b:1", "ws://b:1,ws:c:2", "x,y", "INFO", "@int 1", "10s"]),
    ),
)


def is_loaded_or_refused(file: Path, environment: dict[str, str]) -> None:
    problems: tuple[str, ...] = ()
    config = None
    try:
        config = load_config(file, environment)
    except ConfigurationError as error:
        problems = error.problems
    assert bool(config) != bool(problems)
    if config:
        with pytest.raises(ValidationError, match="frozen"):
            config.failover.hold = 1.0  # type: ignore[misc]  # what is tested
        hash(config.server)  # all that is in it is frozen too
    assert all(problem.strip() and "\n" not in problem for problem in problems)


generated = settings(
    max_examples=200,
    deadline=None,
    # The file is written anew for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@generated
@given(SECTIONS, VARIABLES)
def test_any_tree_is_loaded_or_refused(
    tmp_path: Path, tree: dict[str, Any], environment: dict[str, str]
) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8", errors="surrogatepass")

    is_loaded_or_refused(file, environment)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 750),
        st.integers(0, 12),
        st.sampled_from("{}[]:,-&*!|>'\"%@`#?~<\n\t \\\0é\u0085\ufeff") | st.text(max_size=3),
    ),
    max_size=6,
)


@generated
@given(MUTATIONS, VARIABLES)
@example([(0, 400, "\ufeff")], {})
def test_any_damaged_file_is_loaded_or_refused(
    tmp_path: Path, mutations: list[tuple[int, int, str]], environment: dict[str, str]
) -> None:
    text = """\
server:
  frontend: {address: ":8080"}   # a comment
  block_headers: [X-One, "X-Two"]
upstream:
  backends:
    - &one {url: ws://blue:9090, ping-time: 10s}
    - {<<: *one, url: 'ws:green:9090', id: "gr\\x65en"}
valves:
  - {kind: rate-limit, on-error: discard, text: >-
      folded}
failover: {hold: 30s, retry-statuses: [408, 0x1ad]}
routes:
  - {id: chargers, paths: [/ocpp/**, "/v*/x"], failover: {enabled: false}, valves: []}
  - id: tenant
    hosts: "*.example.com, a.example"
    headers: {X-Tenant: blue, X-Test: "*"}
    backends:
      - {<<: *one, id: own, priority: 2}
    policy: least-connections
"""
    for start, length, insert in mutations:
        text = text[:start] + insert + text[start + length :]
    file = tmp_path / "wsgw.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))

    is_loaded_or_refused(file, environment)


@generated
@given(MUTATIONS, VARIABLES)
def test_any_damaged_toml_is_loaded_or_refused(
    tmp_path: Path, mutations: list[tuple[int, int, str]], environment: dict[str, str]
) -> None:
    text = """\
[server]
block_headers = ["X-One", 'X-Two']   # a comment
frontend = {address = ":8080"}

[[upstream.backends]]
url = "ws://blue:9090"
ping-time = 10
tls.ca = "/x"

[[upstream.backends]]
url = "ws:green:9090"
[upstream.backends.tls]
server-name = \"\"\"
green\"\"\"

[failover]
hold = "30s"
retry-statuses = [408,
  0x1ad]

[[routes]]
id = "tenant"
paths = ["/ocpp/**"]
headers = {X-Tenant = "blue"}
failover.enabled = false
[[routes.backends]]
url = "ws:own:9090"
"""
    for start, length, insert in mutations:
        text = text[:start] + insert + text[start + length :]
    file = tmp_path / "wsgw.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))

    is_loaded_or_refused(file, environment)
