"""Any tree, any damaged file and any variables are loaded or reported as problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsgw_core.api import ConfigurationError
from wsgw_core.config.wsbalancer_variables import ALL_VARIABLES

from .core_config import load_config

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
    max_examples=100,
    deadline=None,
    # The file is written anew for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@generated
@given(SECTIONS, VARIABLES)
def test_any_tree_is_loaded_or_reported(
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
def test_any_damaged_yaml_is_loaded_or_reported(
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
def test_any_damaged_toml_is_loaded_or_reported(
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
