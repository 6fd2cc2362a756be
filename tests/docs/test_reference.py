"""The reference describes everything the code does, and nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from wsgw_http.error_rules import ErrorRule
from wsgw_http.settings import HttpSettings
from wsgw_ws.settings import WebSocketSettings

from wsgw_core import api, testing
from wsgw_core.admin import answers, openapi
from wsgw_core.admin.application import make_application
from wsgw_core.admin.calls import CALLS
from wsgw_core.api import Limits, Metrics, hookspecs
from wsgw_core.api.headers import OF_ONE_LEG
from wsgw_core.config.admin_token import Role
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import known_keys, model_in
from wsgw_core.config.route_options import RouteOptions
from wsgw_core.config.server_options import AdminOptions
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.config.wsbalancer_variables import BACKEND_VARIABLES
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.metrics.families import FAMILIES, WSBALANCERS, Family
from wsgw_core.relay.session import session_opener
from wsgw_core.relay.session.session_state import Event, State, mermaid
from wsgw_core.testing.backend_harness import Capabilities
from wsgw_core.testing.fakes import FakeClient

from .conftest import load_tool

ONE_BACKEND = {"upstream": {"backends": [{"url": "ws://localhost:9090"}]}}


@pytest.fixture
def page(root: Path) -> Any:
    """Returns the text of a document in docs/."""
    return lambda name: (root / "docs" / name).read_text("utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """Yields the cells of all table rows, including headings."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def part(text: str, name: str) -> str:
    match = re.search(rf"<!-- generated: {name} -->(.*?)<!-- end of {name} -->", text, re.DOTALL)
    assert match, name
    return match[1]


# Generated parts


@pytest.mark.slow
def test_generated_parts_are_up_to_date(make_reference: ModuleType, root: Path) -> None:
    for path in (root / "docs").rglob("*.md"):
        text = path.read_text("utf-8")
        assert make_reference.up_to_date(text) == text, f"run tools/make_reference.py: {path.name}"


def test_each_generated_part_is_in_exactly_one_document(
    make_reference: ModuleType, root: Path
) -> None:
    texts = [path.read_text("utf-8") for path in (root / "docs").rglob("*.md")]
    for name in make_reference.PARTS:
        assert sum(text.count(f"<!-- generated: {name} -->") for text in texts) == 1, name


def test_each_meaning_belongs_to_a_key() -> None:
    configuration = load_tool("reference_parts.configuration")
    keys = {key for _, section in configuration.sections(GatewayConfig) for key, _ in section}
    assert set(configuration.MEANINGS) <= keys


# Configuration


def documented_defaults(text: str) -> dict[str, Any]:
    """Returns the keys of tables with their default values; keys without a default are left out."""
    defaults = {}
    for key, _, default, *_ in rows(text):
        if key.startswith("`") and default.startswith("`"):
            defaults[key.strip("`")] = yaml.safe_load(default.strip("`"))
    return defaults


def as_file(defaults: dict[str, Any], *leave_out: str) -> dict[str, Any]:
    """Nests keys as a file does, without those that contain one of the texts."""
    data: dict[str, Any] = {}
    for key, default in defaults.items():
        if not any(text in key for text in leave_out):
            *above, last = key.split(".")
            section = data
            for name in above:
                section = section.setdefault(name, {})
            section[last] = default
    return data


def keys_of(model: type[BaseModel], path: str = "") -> set[str]:
    """Returns all keys of a model that are not in lists, including those of optional sections."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        section = model_in(field.annotation)
        found |= keys_of(section, f"{key}.") if section is not None else {key}
    return found


def test_documented_defaults_of_the_gateway_are_the_real_ones(page: Any) -> None:
    text = part(page("reference/configuration.md"), "configuration")
    data = as_file(documented_defaults(text), "[]", "tls.")  # optional sections
    assert GatewayConfig.model_validate({**data, **ONE_BACKEND}) == GatewayConfig.model_validate(
        ONE_BACKEND
    )


def test_documented_keys_are_exactly_those_of_the_gateway(page: Any) -> None:
    text = part(page("reference/configuration.md"), "configuration")
    documented = {cells[0].strip("`") for cells in rows(text) if cells[0].startswith("`")}
    real = keys_of(GatewayConfig)
    assert {key for key in documented if "[]" not in key} == real
    assert {key for key in documented if "[]" in key} == {
        "server.admin.tokens[].name",
        "server.admin.tokens[].token",
        "server.admin.tokens[].roles",
        "upstream.backends[].kind",
        "upstream.backends[].id",
        "upstream.backends[].url",
        "upstream.backends[].breaker-threshold",
        "upstream.backends[].priority",
        "upstream.backends[].weight",
        "valves[].kind",
        "valves[].on-error",
        "listeners[].kind",
        "gates[].kind",
        *(f"routes[].{key}" for key in known_keys(RouteOptions)),
    }


def test_websocket_backend_keys_are_documented_with_their_defaults(page: Any) -> None:
    text = part(page("reference/configuration.md"), "websocket-backend")
    documented = {cells[0].strip("`") for cells in rows(text) if cells[0].startswith("`")}
    settings = WebSocketSettings(url="ws://localhost:9090")
    assert documented == keys_of(WebSocketSettings)
    defaults = as_file(documented_defaults(text), "tls.")
    given = {"url": "ws://localhost:9090", **defaults}
    assert WebSocketSettings.model_validate(given) == settings


def test_http_backend_keys_are_documented_with_their_defaults(page: Any) -> None:
    text = part(page("reference/configuration.md"), "http-backend")
    documented = {cells[0].strip("`") for cells in rows(text) if cells[0].startswith("`")}
    settings = HttpSettings.model_validate({"url": "http://localhost:9000"})
    in_lists = {f"on-error[].{key}" for key in known_keys(ErrorRule)}
    assert documented == keys_of(HttpSettings) | in_lists
    defaults = as_file(documented_defaults(text), "tls.", "on-error[]")
    given = {"url": "http://localhost:9000", **defaults}
    assert HttpSettings.model_validate(given) == settings


def test_every_key_has_a_meaning(page: Any) -> None:
    for cells in rows(page("reference/configuration.md")):
        assert len(cells) == 4
        assert all(cells)


# Environment


VARIABLE_TABLES = ("config_variables.py", "wsbalancer_variables.py")


def names_in_code(root: Path) -> set[str]:
    """Returns the texts that look like variables' names in the code that reads the environment."""
    found: set[str] = set()
    for path in (root / "wsgw_core").rglob("*.py"):
        text = path.read_text("utf-8")
        if "environ" not in text and path.name not in VARIABLE_TABLES:
            continue
        for node in ast.walk(ast.parse(text)):
            value: object = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+", value):
                found.add(value)
    return found


def test_documented_variables_are_those_of_the_code(page: Any, root: Path) -> None:
    examples, _, tables = page("reference/environment.md").partition("## wsbalancer's")
    documented = {cells[0].strip("`") for cells in rows(tables)}
    assert documented - {"variable"} == names_in_code(root)
    for key, variable in list(rows(examples))[1:]:
        path = re.sub(r"\[(\d)\]", r".\1", key).replace(".", "__").replace("-", "_")
        assert variable.upper() == f"`WSGW_{path.strip('`').upper()}`"


def test_backend_variable_defaults_are_those_of_websocket_backends() -> None:
    url = "ws://localhost:9090"
    for variable in BACKEND_VARIABLES:
        key = variable.key
        model = BackendEntry if key in known_keys(BackendEntry) else WebSocketSettings
        told = model.model_validate({"url": url, key: variable.default})
        assert told == model.model_validate({"url": url}), variable.name


# Commands


def test_every_command_and_flag_is_documented(page: Any) -> None:
    text = page("reference/command-line.md")
    headings = set(re.findall(r"^## `wsgw ?(.*)`$", text, re.MULTILINE))
    commands = load_tool("reference_parts.operation").all_commands()
    assert headings - {"run` says"} == set(commands)
    assert {"run", "demo", "drill"} < set(commands)
    for command in commands.values():
        for parameter in command.params:
            for flag in parameter.opts:
                assert flag in text


# Contract


def test_hooks_are_documented_with_their_arguments(page: Any) -> None:
    documented = {cells[0].strip("`") for cells in rows(part(page(CONTRACT), "hooks"))} - {"hook"}
    assert documented == {
        f"{name}(registry: {inspect.signature(hook).parameters['registry'].annotation}) -> None"
        for name, hook in vars(hookspecs).items()
        if name.startswith("wsgw_")
    }


CONTRACT = "reference/plugin-contract.md"


def test_every_name_of_the_contract_is_documented(page: Any) -> None:
    text = page(CONTRACT) + page("reference/errors.md")
    for name in api.__all__:
        assert re.search(rf"`{name}\b|^### {name}$", text, re.MULTILINE), name


def test_every_name_of_the_testing_kit_is_documented(page: Any) -> None:
    documented = {cells[0].strip("`") for cells in rows(part(page(CONTRACT), "testing-kit"))}
    names = set()
    for found in pkgutil.iter_modules(testing.__path__):
        module = importlib.import_module(f"wsgw_core.testing.{found.name}")
        names |= set(getattr(module, "__all__", ()))
    assert documented - {"name"} == names - {"Answer"}  # only describes what a script contains


def test_every_capability_is_documented_with_its_default(page: Any) -> None:
    documented = {
        cells[0].strip("`"): cells[1].strip("`")
        for cells in rows(part(page(CONTRACT), "capabilities"))
    }
    del documented["capability"]
    defaults = asdict(Capabilities())
    assert documented == {name: str(default) for name, default in defaults.items()}


def test_every_member_of_a_protocol_is_documented(page: Any) -> None:
    sections = dict(
        re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", page(CONTRACT), re.MULTILINE | re.DOTALL)
    )
    for name in api.__all__:
        thing = getattr(api, name)
        if getattr(thing, "_is_protocol", False):
            members = {member for member in vars(thing) if not member.startswith("_")}
            documented = {
                re.split(r"[(`]", cells[0].strip("`").removeprefix("async "))[0]
                for cells in rows(sections[name])
            }
            assert documented - {"member"} == members


def test_contract_version_is_documented(page: Any) -> None:
    version = ".".join(map(str, api.API_VERSION))
    assert f"The version of the contract is {version}." in page(CONTRACT)


def test_documented_exceptions_are_exactly_those_of_the_contract(page: Any) -> None:
    errors = {
        name
        for name in api.__all__
        if inspect.isclass(getattr(api, name)) and issubclass(getattr(api, name), Exception)
    }
    documented = {
        cells[0].strip("`") for cells in rows(part(page("reference/errors.md"), "errors"))
    }
    assert documented - {"exception"} == errors
    told = {cells[0].strip("`") for cells in list(rows(page("reference/errors.md")))}
    assert errors - told == set()


# Counters, statuses, close codes, headers, states


def test_counters_are_documented(page: Any) -> None:
    metrics = Metrics()
    GatewayCounters(metrics)
    text = part(page("reference/metrics.md"), "counters")
    documented = {cells[0].strip("`"): cells[1] for cells in rows(text)}
    del documented["counter"]
    assert documented == {f"wsgw_{counter.name}_total": counter.help for counter in metrics}


def test_metrics_of_all_plugins_in_the_workspace_are_documented(
    page: Any,
) -> None:
    """Includes metrics that a plugin makes only after its factory has returned."""
    documented = {
        cells[0].strip("`").removesuffix("_total")
        for cells in rows(part(page("reference/metrics.md"), "metrics-of-plugins"))
    }
    made = re.compile(r'(?:counter|gauge|histogram)\(\s*"(\w+)"')
    found = 0
    for source in load_tool("reference_parts.metric_tables").sources():
        for path in (source / "src").rglob("*.py"):
            for name in made.findall(path.read_text("utf-8")):
                found += 1
                assert any(each.endswith(f"_{name}") for each in documented), (path.name, name)
    assert found > 3


@pytest.mark.parametrize(
    ("name", "table"), [("metrics", FAMILIES), ("wsbalancers-metrics", WSBALANCERS)]
)
def test_metrics_are_documented_with_their_labels(
    page: Any, name: str, table: tuple[Family, ...]
) -> None:
    documented = {
        cells[0].strip("`").removesuffix("_total"): (cells[1], tuple(re.findall(r"\w+", cells[2])))
        for cells in rows(part(page("reference/metrics.md"), name))
    }
    del documented["metric"]
    assert documented == {each.name: (each.kind, each.labels or ("none",)) for each in table}


def test_metrics_in_rules_and_queries_exist(page: Any, root: Path) -> None:
    metrics = Metrics()
    GatewayCounters(metrics)
    known = {f"wsgw_{counter.name}_total" for counter in metrics}
    for family in FAMILIES:
        suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket"]}
        known |= {family.name + suffix for suffix in suffixes[family.kind]}
    rules = (root / "deploy" / "prometheus" / "alerts.yaml").read_text("utf-8")
    scaling = (root / "deploy" / "kubernetes" / "autoscaling.yaml").read_text("utf-8")
    texts = [rules, scaling, page("how-to/watch-with-prometheus.md")]
    used = {name for text in texts for name in re.findall(r"\bwsgw_\w+", text)}
    assert len(used) > 10
    assert used <= known


# Admin API


async def is_not_called(_request: Any) -> Any:
    raise AssertionError("only the table is looked at")


def test_documented_admin_calls_are_exactly_the_routed_ones(page: Any) -> None:
    application = make_application(
        AdminOptions(),
        dict.fromkeys((call.name for call in CALLS), is_not_called),
        logging.getLogger("test"),
        lambda _request: nullcontext(),
        Metrics().counter("denied", ""),
    )
    routed = {
        f"{route.method} {route.resource.canonical.replace('{id}', 'ID')}"
        for route in application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    documented = {
        cells[0].strip("`"): cells[1].strip("`")
        for cells in rows(part(page("reference/admin-api.md"), "admin-calls"))
    }
    del documented["call"]
    assert set(documented) == routed
    assert documented == {
        f"{call.method} {call.path.replace('{id}', 'ID')}": call.role or "none" for call in CALLS
    }


def test_roles_are_documented(page: Any) -> None:
    told = {cells[0].strip("`") for cells in rows(page("how-to/secure-the-admin-api.md"))}
    assert told - {"role"} == set(get_args(Role))


def test_admin_api_statuses_are_those_of_the_code(page: Any, root: Path) -> None:
    text = page("reference/admin-api.md")
    table = text[text.index("## Answers") : text.index("## What is listed")]
    documented = {int(cells[0]) for cells in rows(table) if cells[0].isdigit()}
    files = [f"admin/{name}.py" for name in ("application", "guard", "queries", "actions")]
    assert documented == numbers(root, files, 300, 600) - {500}
    for reason in get_args(answers.Reason):
        assert reason in text or reason == "InternalError"


def test_fields_of_lists_are_documented(page: Any) -> None:
    text = page("reference/admin-api.md")
    for name in ("backends", "sessions", "frontends"):
        for field in openapi._ANSWERS[name]["items"]["properties"]:  # noqa: SLF001 - the source of the names
            assert f"`{field}`" in text, field


def test_counters_named_in_other_documents_exist(documents: list[Path]) -> None:
    metrics = Metrics()
    GatewayCounters(metrics)
    names = {counter.name for counter in metrics} | {family.name for family in FAMILIES}
    metric_tables = load_tool("reference_parts.metric_tables")
    for source in metric_tables.sources():
        names |= {family.name for family in metric_tables.plugin_metrics(source)}
    names |= set(Limits.__annotations__)  # bounds of these names are passed to plugins
    names |= set(dir(FakeClient))  # listed in the reference
    for document in documents:
        found = re.findall(
            r"`(\w+_(?:messages|expired|declined|refused|errors))`", document.read_text()
        )
        assert set(found) <= names, document


def numbers(root: Path, files: list[str], low: int, high: int) -> set[int]:
    return {
        node.value
        for file in files
        for node in ast.walk(ast.parse((root / "wsgw_core" / file).read_text("utf-8")))
        if isinstance(node, ast.Constant) and type(node.value) is int and low <= node.value < high
    }


def test_documented_statuses_are_those_of_the_code(page: Any, root: Path) -> None:
    table = page("reference/statuses-and-close-codes.md").partition("## How a session ends")[0]
    documented = {int(cells[0]) for cells in rows(table) if cells[0].isdigit()}
    files = [
        "frontend/admission.py",
        "frontend/handshake.py",
        "frontend/request_head.py",
        "frontend/request_target.py",
        "relay/session/session_opener.py",
    ]
    assert documented == numbers(root, files, 300, 600) | {101}


def test_headers_of_declining_backend_are_those_of_the_code(page: Any) -> None:
    text = page("reference/statuses-and-close-codes.md").lower()
    for name in session_opener._PASSED_ON:  # noqa: SLF001 - the source of the names
        assert f"`{name}`" in text


def test_close_codes_have_names_and_those_of_sessions_are_in_one_table(root: Path) -> None:
    both_legs = (root / "wsgw_core", root / "plugins" / "wsgw_ws" / "src")
    for path in (path for leg in both_legs for path in leg.rglob("*.py")):
        if "testing" not in path.parts and path.name != "close_codes.py":
            assert not numbers(root, [str(path)], 1001, 1016), path


def test_dropped_headers_are_those_of_the_code(page: Any) -> None:
    text = page("reference/headers.md").lower()
    for name in OF_ONE_LEG:
        shown = "sec-websocket-*" if name.startswith("sec-websocket-") else name
        assert f"`{shown}`" in text, name


def test_added_headers_are_those_of_the_code(page: Any, root: Path) -> None:
    text = page("reference/headers.md")
    code = (root / "wsgw_core" / "relay" / "failover" / "dial_requests.py").read_text("utf-8")
    assert set(re.findall(r"X-Wsgw-\w+", code)) == set(re.findall(r"X-Wsgw-\w+", text))
    assert GatewayConfig.model_validate(ONE_BACKEND).server.reconnect_header in text


def test_state_diagram_matches_the_table(page: Any) -> None:
    assert f"```mermaid\n{mermaid()}\n```" in page("explanation/session-states.md")


def test_every_state_and_event_is_explained(page: Any) -> None:
    told = {cells[0] for cells in rows(page("explanation/session-states.md"))}
    assert {state.value for state in State} | {event.value for event in Event} == told - {
        "state",
        "event",
    }


def test_folders_named_in_contributing_exist(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text("utf-8")
    for pattern in re.findall(r"^\| `([\w*/]+/)`", text, re.MULTILINE):
        assert list(root.glob(pattern.rstrip("/"))), pattern
