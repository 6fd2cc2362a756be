"""The problems of invalid files and variables."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wsgw_core.api import ConfigurationError

from .conftest import BACKEND, Write
from .core_config import load_config


def problems_of(file: Path | None, environment: dict[str, str] | None = None) -> list[str]:
    """Return the problems, with the file's folder left out."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environment or {})
    assert caught.value.problems
    assert not [problem for problem in caught.value.problems if "\n" in problem]
    folder = f"{file.parent}{os.sep}" if file else "\0"
    return [problem.removeprefix(folder) for problem in caught.value.problems]


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
        ("hold: 5s", "wsgw.yaml:2: hold: unknown key 'hold'; did you mean 'failover.hold'?"),
        (
            "server: {address: ':1'}",
            (
                "wsgw.yaml:2: server.address: unknown key 'address'; did you mean"
                " 'server.frontend.address' or 'server.admin.address'?"
            ),
        ),
        (
            "routes: [{id: r, hold: 3}]",
            (
                "wsgw.yaml:2: routes[0].hold: unknown key 'hold'; did you mean"
                " 'routes[0].failover.hold'?"
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
        (
            "valves: [mqtt]",
            (
                "wsgw.yaml:2: valves[0]: found 'mqtt', allowed: a mapping (keys and values),"
                " such as {kind: NAME}"
            ),
        ),
        (
            "routes: [{id: a, backends: ['ws://a:1']}]",
            (
                "wsgw.yaml:2: routes[0].backends[0]: found 'ws://a:1', allowed: a mapping (keys"
                " and values), such as {url: ws://host:port}"
            ),
        ),
        ("gates: [{kind: 5}]", "wsgw.yaml:2: gates[0].kind: found 5, allowed: text"),
        ("limits: {ledger-messages: 1.5}", "wsgw.yaml:2: limits.ledger-messages: found 1.5"),
        (
            "failover: {}\n\nfailover: {}",
            "wsgw.yaml:4: duplicate key 'failover'; the first one is in line 2",
        ),
        (
            "failover: {ping-timeout: 1s, ping_timeout: 2s}",
            "wsgw.yaml:2: failover.ping-timeout: is also written as 'ping-timeout'",
        ),
        ("7: x", "wsgw.yaml:2: found the key '7', allowed: text"),
        ("? [a]\n: x", "wsgw.yaml:2: found the key 'a collection', allowed: text"),
        ("x: !!python/name:os.system ''", "wsgw.yaml:2: found '': tags are not supported"),
        (
            "server: !odd {}",
            "wsgw.yaml:2: tags are not supported; text that begins with '!' needs quotes",
        ),
        ("<<: 5", "wsgw.yaml:2: '<<' takes a mapping"),
        (f"x: {'9' * 5000}", "wsgw.yaml:2: found '9999"),
        ('x: "\\ud800"', "wsgw.yaml:2: found "),
    ],
)
def test_problem_names_line_key_path_and_what_is_allowed(
    write: Write, text: str, expected: str
) -> None:
    problems = problems_of(write(f"upstream: {{backends: [{{url: 'ws://a:1'}}]}}\n{text}\n"))

    assert [problem for problem in problems if problem.startswith(expected)], problems


def test_wrongly_indented_backends_are_one_problem(write: Write) -> None:
    problems = problems_of(write("upstream:\nbackends:\n  - url: ws://a:1\n"))

    assert problems == [
        "wsgw.yaml:2: backends: unknown key 'backends'; did you mean 'upstream.backends'?"
    ]


def test_problems_are_sorted_by_line_then_variables(write: Write) -> None:
    text = "zzz: 1\nfailover:\n  hold: x\nserver: 5\nlimits: {a: 1}\nupstream: {backends: [{}]}\n"

    problems = problems_of(write(text), {"FE_ADDR": "nowhere"})

    places = [problem.partition(": ")[0] for problem in problems]
    assert places == [*(f"wsgw.yaml:{line}" for line in (1, 3, 4, 5, 6)), "FE_ADDR"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [\nb: }", "wsgw.yaml:2: not YAML: "),
        ("a: 'x\nb: 1", "wsgw.yaml:1: not YAML: a quote that is not closed"),
        ("a:\n  b: 1\n c: 2", "wsgw.yaml:3: not YAML: indentation differs from"),
        ("a:\n  b: 1\n  - c", "wsgw.yaml:3: not YAML: indentation differs from"),
        ("a: 1\n  b: 2", "wsgw.yaml:2: not YAML: a colon too many, or more indentation"),
        ("a: 1\nb\n", "wsgw.yaml:2: not YAML: a key without a colon"),
        ("a: @b", "wsgw.yaml:1: not YAML: a value that begins with this character needs quotes"),
        ("\ta: 1", "wsgw.yaml:1: not YAML: a tab: indent with spaces"),
        ("a: *nobody", "wsgw.yaml:1: not YAML: "),
        ("--- {}\n--- {}", "wsgw.yaml:2: not YAML: "),
        ("a: 1\nb: \0", "wsgw.yaml:2: not YAML: "),
        ('"\\UFFFFFFFF"', "wsgw.yaml: not YAML: "),
        (b"a: 1\nb: \xff", "wsgw.yaml:2: not UTF-8 text"),
        ("a: 1".encode("utf-16"), "wsgw.yaml:1: not UTF-8 text"),
        ("- a\n- b", "wsgw.yaml: found a list, allowed: a mapping"),
        ("text", "wsgw.yaml: found a single value, allowed: a mapping"),
        ("!!binary aaaa", "wsgw.yaml:1: found 'aaaa': tags are not supported"),
        ("[" * 5000, "wsgw.yaml: nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "wsgw.yaml: nested more than 50"),
        ("a: &a [*a]", "wsgw.yaml: nested more than 50"),
        ("a: &a {<<: *a}", "wsgw.yaml: nested"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "\n".join(
                f"{key}: &{key} [{', '.join([f'*{of}'] * 10)}]"
                for of, key in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "wsgw.yaml: nested more than 50",
        ),
    ],
)
def test_unparsable_yaml_is_one_problem(write: Write, content: str | bytes, expected: str) -> None:
    [problem] = problems_of(write(content))

    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a = [1,\n= 2", "wsgw.toml: not TOML: "),
        ("a = " + "[" * 5000, "wsgw.toml: nested more than 50"),
    ],
)
def test_broken_toml_is_one_problem(write: Write, content: str, expected: str) -> None:
    [problem] = problems_of(write(content, "wsgw.toml"))

    assert problem.startswith(expected)


def test_missing_file_is_a_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "no.yaml") == ["no.yaml: file not found"]


def test_directory_is_a_problem(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path)

    assert problem.endswith("cannot be read: Is a directory")


def test_unreadable_file_is_a_problem(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    file = write(BACKEND)
    # Who runs the tests may be allowed to read every file.
    monkeypatch.setattr(os, "open", refuse)

    assert problems_of(file) == ["wsgw.yaml: cannot be read: Permission denied"]


def test_impossible_file_name_is_a_problem() -> None:
    [problem] = problems_of(Path("a\0b"))

    assert "cannot be read" in problem


def test_too_large_file_is_a_problem_and_not_read_completely(tmp_path: Path) -> None:
    with (tmp_path / "zero").open("wb") as file:
        file.truncate(1 << 40)  # has no blocks

    [problem] = problems_of(tmp_path / "zero")

    assert problem.startswith("zero: larger than ")


def test_a_device_is_not_read() -> None:
    assert problems_of(Path("/dev/zero")) == ["zero: cannot be read: not a regular file"]


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "upstream: {}\n", "upstream: {backends: []}\n", "server: {}"]
)
def test_missing_backends_problem_says_how_to_set_one(write: Write, text: str) -> None:
    [problem] = problems_of(write(text))

    assert problem.endswith(
        "no backend: set upstream.backends in a file (option -c), or set BE_URLS"
    )


def test_empty_backends_problem_with_routes_suggests_removal(write: Write) -> None:
    routes = "routes: [{id: a, backends: [{url: ws://a:1}]}]\n"
    load_config(write(routes), {})

    [problem] = problems_of(write(f"upstream: {{backends: []}}\n{routes}"))

    assert problem.endswith(
        "upstream.backends: needs at least 1, found 0;"
        " remove this key if every route has its own 'backends'"
    )


def test_unreadable_file_does_not_also_report_missing_backends(tmp_path: Path) -> None:
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
        *(
            (
                {"BE_URLS": url},
                f"found {url!r}: a URL has no control characters or other invisible characters",
            )
            for url in ("ws://a\0b:1", "dns+ws://a\x7f:1", "ws://a:1/\x01", "redis://a\u200b:1")
        ),
        ({"WSGW_SERVER__FRONTEND__ADDRESS": "a\0b:80"}, "not an address such as 127.0.0.1:8080"),
        ({"WSGW_SERVER__ADMIN__ADDRESS": "a\x9b:80"}, "not an address such as 127.0.0.1:8080"),
        ({"WSGW_UPSTREAM__POLICY__KEY": "path"}, "needs 'kind', such as hash; it has only 'key'"),
        ({"BE_URLS": "ws://a..b:1"}, "found 'ws://a..b:1': not a host name: a part between dots"),
        ({"BE_URLS": f"ws://{'a' * 64}:1"}, "not a host name: a part between dots is empty or"),
        ({"BE_URLS": "ws://a:99999"}, "found 'ws://a:99999': not a URL such as ws://host:port"),
        ({"BE_URLS": "ws://[::1"}, "found 'ws://[::1': not a URL such as ws://host:port"),
        (
            {"BE_URLS": "localhost:9090"},
            (
                "BE_URLS: upstream.backends[1].url: found 'localhost:9090': the scheme is missing;"
                " write for example ws://host:port"
            ),
        ),
        (
            {"BE_URLS": "ws://b:1", "BE_URL_IDS": "a b"},
            "BE_URL_IDS: upstream.backends[1].id: found 'a b'",
        ),
        (
            {"BE_URLS": "ws://a:1"},
            "BE_URLS: upstream.backends[1].url: duplicate id 'a-1', also the id of",
        ),
    ],
)
def test_a_problem_of_a_variable_names_it(
    write: Write, environment: dict[str, str], expected: str
) -> None:
    problems = problems_of(write(BACKEND), environment)

    assert [problem for problem in problems if expected in problem], problems


def test_all_problems_of_all_sources_are_reported_together(write: Write) -> None:
    file = write("foo: 1\nfoo: 2\nserver: 5\nfailover: {hold: x}\nlimits: {max_header: 1}\n")

    problems = problems_of(file, {"FE_ADDR": "x", "BE_URLS": "ws://a:1", "BE_URL_IDS": "a,b"})

    for part in ("key 'foo'", "foo: unknown", "server: found 5", "failover.hold", "max-header:"):
        assert [problem for problem in problems if part in problem], (part, problems)
    assert [problem for problem in problems if problem.startswith("FE_ADDR: ")]
    assert [problem for problem in problems if problem.startswith("BE_URL_IDS: ")]
    assert len(problems) == 7


def test_problems_show_no_password() -> None:
    [problem] = problems_of(None, {"BE_URLS": "amqp://joe:hush@h:1/", "BE_URL_IDS": "a/b"})
    problems = problems_of(None, {"BE_URLS": "//joe:hush@h:1/"})

    assert "hush" not in " ".join([problem, *problems])
