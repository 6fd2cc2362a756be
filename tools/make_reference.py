"""Write the parts of docs/ that follow from the code: configuration, commands, contract, counters.

usage: make_reference.py [--check]

A part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. With --check nothing is
written, and the exit status is 1 when a file is not up to date.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FunctionType, NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
import click
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from wsgw_amqp.settings import AmqpSettings
from wsgw_http.settings import HttpSettings
from wsgw_http.statuses import statuses_text
from wsgw_redis.settings import RedisSettings
from wsgw_ws.settings import WebSocketSettings

from wsgw_core import api, testing
from wsgw_core.admin.calls import CALLS
from wsgw_core.api import Close, Metrics, PluginContext, hookspecs
from wsgw_core.api.close import LOSS_CODES
from wsgw_core.api.options import duration_text, parse_duration, parse_size, size_text
from wsgw_core.api.registry import Registry
from wsgw_core.cli.main import wsgw
from wsgw_core.config.address import Address, parse_address
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import item_type, model_in
from wsgw_core.config.wsbalancer_variables import (
    ALL_VARIABLES,
    BACKEND_VARIABLES,
    BE_PASS_HEADERS,
    BE_URLS,
)
from wsgw_core.drill.ways import DEFAULT, WAYS, Bound
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.metrics.families import FAMILIES, WSBALANCERS, Family
from wsgw_core.plugin_loader import Plugins
from wsgw_core.relay.session_state import mermaid
from wsgw_core.testing.backend_harness import Capabilities
from wsgw_core.testing.context import make_context

DOCS = Path(__file__).resolve().parent.parent / "docs"
PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)

# Options with which a backend of a kind makes all its metrics.
SAMPLES: dict[str, dict[str, Any]] = {
    "amqp": {"url": "amqps://127.0.0.1:1"},
    "ws": {"url": "wss://a:1"},
    "http": {"url": "https://a:1"},
    "jsonl": {"url": "jsonl://a:1"},
    "nats": {"url": "nats://a:1"},
    "redis": {"url": "redis://a:1"},
}

# Classes that help authors, whose members are listed; MADE are those that authors make themselves.
MADE = (api.OrderedConnection, api.ReplyBuffers, api.SharedLink, api.WindowedConnection)
HELPERS = (*MADE, api.Labelled, api.Metrics, api.Template)

# Its sections and lists have the keys of those for the whole gateway.
ROUTE = "routes[]"

# What the contract's types for options are written as.
OWN_TYPES = {api.Template: "template", api.Subprotocols: "`first`, `none` or list of texts"}

# For the keys whose models do not say it themselves.
MEANINGS = {
    "server.frontend.address": "where clients connect",
    "server.admin.address": "where operators connect",
    "server.block-headers": "headers of the client that no backend gets",
    "server.reconnect-header": "header with the value `1` that tells a backend of a session"
    " that it is not its first; dropped when a client sends it",
    "server.logging-level": "records of this level and above go to stderr",
    "upstream.backends[].kind": "the kind; by default the scheme of `url` stands for it",
    "upstream.backends[].id": "the name for operators; by default host and port of `url`",
    "upstream.backends[].url": "where it is; the kind says what it must look like",
    "valves": "the valves of each session, in the order in which the client's messages pass",
    "valves[].kind": "the kind",
    "valves[].on-error": "after a fault in the valve: `close` ends the session with 1011,"
    " `discard` drops the message",
    "listeners": "who is told of each session's life",
    "listeners[].kind": "the kind",
    "gates": "who decides about each opening handshake, in this order",
    "gates[].kind": "the kind",
    "failover.enabled": "`false`: the loss of a backend ends its sessions",
    "limits.max-header-bytes": "of the head of a client's request",
    "limits.handshake-timeout": "how long a client may take to send its request",
    "limits.ledger-messages": "undelivered messages of a session above which its client is not"
    " read",
    "limits.ledger-bytes": "the same in bytes; both bounds share one account",
    "limits.write-high-water": "bytes waiting for a socket above which the other side is not read",
    "limits.close-timeout": "how long a closing handshake may take, and how long messages of a"
    " client that has left are tried to be delivered; a client that still takes 256 bytes a second"
    " of what came before its close has longer",
}


def checks(field: FieldInfo) -> list[Any]:
    """Return what a field's value is read and checked by, also when the field may be none."""
    found = list(field.metadata)
    for each in getattr(without_none(field.annotation), "__metadata__", ()):
        found += each.metadata if isinstance(each, FieldInfo) else [each]
    return found


def validators(field: FieldInfo) -> set[Any]:
    """Return the functions that read a field's value."""
    return {each.func for each in checks(field) if isinstance(each, BeforeValidator)}


def type_text(field: FieldInfo) -> str:
    """Say what may be given."""
    readers = validators(field)
    annotation = field.annotation
    if without_none(annotation) == frozenset[int]:
        return "list of statuses"
    if parse_duration in readers:
        text = "duration"
    elif parse_size in readers:
        text = "size"
    elif parse_address in readers or annotation is Address:
        text = "address"
    elif get_origin(choice := without_none(annotation)) is Literal:
        text = " or ".join(f"`{value}`" for value in get_args(choice))
    elif model_in(annotation) is not None:
        text = "section"
    elif get_origin(annotation) is dict:
        text = "section of texts"
    elif (item := item_type(without_none(annotation))) is not None:
        text = "list of " + ("sections" if model_in(item) else item_text(item))
    else:
        text = plain_text(annotation)
    if any(isinstance(each, annotated_types.Gt) for each in checks(field)):
        text += ", more than 0"
    return text


def item_text(annotation: Any) -> str:
    """Say what the items of a list are."""
    return "whole numbers" if "int" in plain_text(annotation, words=False) else "texts"


def without_none(annotation: Any) -> Any:
    """Return `T` for `T | None`."""
    parts = [each for each in get_args(annotation) if each is not NoneType]
    return parts[0] if NoneType in get_args(annotation) and len(parts) == 1 else annotation


def inside(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from inside(part)


def plain_text(annotation: Any, *, words: bool = True) -> str:
    """Say what a simple type is; one of our own is written as text."""
    options = list(inside(annotation))
    for own, text in OWN_TYPES.items():
        if any(isinstance(each, type) and issubclass(each, own) for each in options):
            return f"{text} or `false`" if Literal[False] in options else text
    found = next((each for each in (bool, int, float, str) if each in options), str)
    said = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
    return said[found] if words else found.__name__


def default_text(field: FieldInfo) -> str:
    """Write the default as a file would, or say that there is none."""
    if field.is_required():
        return "required"
    default, readers = field.default, validators(field)
    if default in (None, (), {}):
        return "none"
    text = str(default)
    if parse_duration in readers:
        text = str(duration_text(default))
    elif parse_size in readers:
        text = str(size_text(default))
    elif isinstance(default, bool):
        text = text.lower()
    elif isinstance(default, frozenset):
        text = f"[{statuses_text(default)}]"
    elif isinstance(default, tuple) and not isinstance(default, Address):
        text = f"[{', '.join(map(str, default))}]"
    return f"`{text}`"


def sections(
    model: type[BaseModel], path: str = ""
) -> Iterator[tuple[str, list[tuple[str, FieldInfo]]]]:
    """Yield each section's path with its keys that are not sections themselves."""
    keys: list[tuple[str, FieldInfo]] = []
    below: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        key = f"{path}.{field.alias or name}".lstrip(".")
        if path == ROUTE:
            keys.append((key, field))
            continue
        if (section := model_in(field.annotation)) is not None:
            below.append((section, key))
            continue
        keys.append((key, field))
        if (item := model_in(item_type(field.annotation))) is not None:
            below.append((item, f"{key}[]"))
    if keys:
        yield path, keys
    for section, key in below:
        yield from sections(section, key)


def key_table(keys: list[tuple[str, FieldInfo]]) -> Iterator[str]:
    """Yield the lines of a table of keys."""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in keys:
        if field.description and key in MEANINGS:
            raise SystemExit(f"make_reference.py: {key} has a description of its own")
        meaning = field.description or MEANINGS[key]
        yield f"| `{key}` | {type_text(field)} | {default_text(field)} | {meaning} |"


def configuration() -> Iterator[str]:
    """Yield the keys of the configuration, section by section."""
    yield from section_tables(GatewayConfig)


def websocket_backend() -> Iterator[str]:
    """Yield the keys of a backend of kind ws, section by section."""
    yield from section_tables(WebSocketSettings)


def amqp_backend() -> Iterator[str]:
    """Yield the keys of a backend of kind amqp, section by section."""
    yield from section_tables(AmqpSettings)


def http_backend() -> Iterator[str]:
    """Yield the keys of a backend of kind http, section by section."""
    yield from section_tables(HttpSettings)


def redis_backend() -> Iterator[str]:
    """Yield the keys of a backend of kind redis, section by section."""
    yield from section_tables(RedisSettings)


def section_tables(model: type[BaseModel]) -> Iterator[str]:
    """Yield a headed table of keys for each section."""
    for path, keys in sections(model):
        yield f"### {f'`{path}`' if path else 'Top level'}"
        yield ""
        yield from key_table(keys)
        yield ""


def variables() -> Iterator[str]:
    """Yield wsbalancer's variables."""
    yield "| variable | key | type | default | meaning |"
    yield "|---|---|---|---|---|"
    of_backends = {variable.name for variable in (*BACKEND_VARIABLES, BE_PASS_HEADERS)}
    for variable in ALL_VARIABLES:
        key = ".".join(variable.key)
        if variable.name in of_backends:
            key = f"{'.'.join(BE_URLS.key)}[].{key}"
        default = f"`{variable.default}`" if variable.default else "none"
        cells = (f"`{variable.name}`", f"`{key}`", variable.type, default, variable.meaning)
        yield f"| {' | '.join(cells)} |"


def commands() -> Iterator[str]:
    """Yield what --help says of each command."""
    for name in ("", *wsgw.commands):
        command: click.Command = wsgw.commands[name] if name else wsgw
        full_name = f"wsgw {name}".strip()
        context = click.Context(
            command, info_name=full_name, max_content_width=80, terminal_width=80
        )
        context.help_option_names = ["-h", "--help"]
        yield f"## `{full_name}`"
        yield ""
        yield "```text"
        yield command.get_help(context)
        yield "```"
        yield ""


def ways() -> Iterator[str]:
    """Yield the ways of the drill, with what is expected of each beside the usual."""
    pauses = {
        Bound.NONE: "",
        Bound.DEATH: "50 ms",
        Bound.SILENCE: "`ack-interval` + `ping-timeout` + 100 ms",
    }
    yield "| way | what is broken | median pause at most |"
    yield "|---|---|---|"
    for way in WAYS.values():
        short = " (short set)" if way.name in DEFAULT else ""
        yield f"| `{way.name}`{short} | {way.summary} | {pauses[way.expectation.pause]} |"


def signature(function: Callable[..., Any]) -> str:
    """Write a function's name and arguments as its author did, without `self`."""
    given = inspect.signature(function)
    kept = [each for each in given.parameters.values() if each.name != "self"]
    text = str(given.replace(parameters=kept)).replace(", /)", ")").replace("|", "\\|")
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations are kept as texts
    text = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text)  # members of enumerations
    prefix = "async " if inspect.iscoroutinefunction(function) else ""
    return prefix + function.__name__ + text


def summary(thing: object) -> str:
    """Return the first line of a docstring, fit for a table."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].replace("|", "\\|")


def hooks() -> Iterator[str]:
    """Yield the hooks with their arguments."""
    yield "| hook | what it does |"
    yield "|---|---|"
    for name, function in vars(hookspecs).items():
        if name.startswith("wsgw_"):
            yield f"| `{signature(function)}` | {summary(function)} |"


def contract() -> Iterator[str]:
    """Yield the protocols, and the classes that help authors, with their members."""
    for name in api.__all__:
        thing = getattr(api, name)
        if not getattr(thing, "_is_protocol", False) and thing not in HELPERS:
            continue
        yield f"### {name}"
        yield ""
        yield summary(thing)
        yield ""
        yield "| member | meaning |"
        yield "|---|---|"
        if thing in MADE:
            made = signature(thing.__init__).replace("__init__", name)
            inherited = inspect.isabstract(thing)
            yield f"| `{made}` | {'To be called by the subclass' if inherited else 'Make one'}. |"
        for member, value in vars(thing).items():
            if member.startswith("_") or not (callable(value) or isinstance(value, property)):
                continue
            text = member if isinstance(value, property) else signature(value)
            yield f"| `{text}` | {summary(value)} |"
        yield ""


def ends() -> Iterator[str]:
    """Yield what the ends of a backend's connection mean."""
    codes = " ".join(map(str, sorted(LOSS_CODES)))
    yield "| `abnormal` | code | `meaning` | what happens |"
    yield "|---|---|---|---|"
    for abnormal, code, close in (
        ("False", "any", Close(1000)),
        ("True", codes, Close(min(LOSS_CODES), abnormal=True)),
        ("True", "any other, 1006 for example", Close(1006, abnormal=True)),
    ):
        yield f"| {abnormal} | {code} | `{close.meaning.name}` | {close.meaning.value} |"


def exported() -> Iterator[str]:
    """Yield the classes of the contract that are no protocols."""
    yield "| name | meaning | has |"
    yield "|---|---|---|"
    for name in api.__all__:
        thing = getattr(api, name)
        is_error = isinstance(thing, type) and issubclass(thing, BaseException)
        told = is_error or getattr(thing, "_is_protocol", False) or thing in HELPERS
        if inspect.isclass(thing) and not told:
            yield f"| `{name}` | {summary(thing)} | {', '.join(dict.fromkeys(has(thing)))} |"


def has(thing: type) -> Iterator[str]:
    """Yield what a value carries, and what makes one."""
    for each in thing.__mro__[:-1]:
        if not each.__module__.startswith("wsgw_core."):
            continue
        given = (
            inspect.signature(vars(each)["__init__"]).parameters if "__init__" in vars(each) else ()
        )
        for name in dict.fromkeys((*given, *inspect.get_annotations(each))):
            if not name.startswith("_") and name != "self":
                yield f"`{name}`"
        for name, value in vars(each).items():
            if not name.startswith("_") and isinstance(
                value, property | classmethod | FunctionType
            ):
                yield f"`{name}`" if isinstance(value, property) else f"`{name}()`"


def testing_kit() -> Iterator[str]:
    """Yield the names of the testing kit, by the modules that hold them."""
    yield "| name | module | meaning | has |"
    yield "|---|---|---|---|"
    told: set[object] = set()
    for found in pkgutil.iter_modules(testing.__path__):
        module = importlib.import_module(f"wsgw_core.testing.{found.name}")
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if thing not in told and (inspect.isclass(thing) or inspect.isfunction(thing)):
                told.add(thing)
                own = dict.fromkeys(has(thing) if inspect.isclass(thing) else ())
                shown = ", ".join(each for each in own if not each.startswith("`test_"))
                yield f"| `{name}` | `{found.name}` | {summary(thing)} | {shown} |"


def capabilities() -> Iterator[str]:
    """Yield what a kind of backend can declare to the contract suite."""
    text = inspect.getdoc(Capabilities) or ""
    told = re.findall(
        r"^    ([a-z_0-9, ]+): (.*(?:\n {8}.*)*)", text.partition("Attributes:\n")[2], re.MULTILINE
    )
    yield "| capability | default | meaning |"
    yield "|---|---|---|"
    for names, meaning in told:
        for name in names.split(", "):
            default = str(Capabilities.__dataclass_fields__[name].default)
            yield f"| `{name}` | `{default}` | {' '.join(meaning.split())} |"


def errors() -> Iterator[str]:
    """Yield the exceptions of the contract, each below the one it is a kind of."""
    yield "| exception | kind of | meaning |"
    yield "|---|---|---|"
    for name, thing in vars(api.errors).items():
        if isinstance(thing, type) and issubclass(thing, Exception):
            yield f"| `{name}` | `{thing.__bases__[0].__name__}` | {summary(thing)} |"


def counters() -> Iterator[str]:
    """Yield the gateway's own counters."""
    metrics = Metrics()
    GatewayCounters(metrics)
    yield "| counter | meaning |"
    yield "|---|---|"
    for counter in metrics:
        yield f"| `wsgw_{counter.name}_total` | {counter.help} |"


def sources() -> list[Path]:
    """Return the folders of the plugins in this workspace, each with its pyproject."""
    root = DOCS.parent
    found = [*root.glob("plugins/wsgw_*"), *root.glob("examples/wsgw_*")]
    return sorted(path for path in found if (path / "pyproject.toml").exists())


def plugin_metrics(source: Path) -> Metrics:
    """Return the metrics that a plugin's objects make when they are made themselves."""
    sys.path.insert(0, str(source / "src"))
    entry_points = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    plugins = Plugins()
    for module in dict.fromkeys(entry_points["entry-points"]["wsgw"].values()):
        plugins.register(importlib.import_module(module), module)
    metrics = Metrics()

    async def make_all() -> None:
        context = make_context()
        for kind in plugins.backends.kinds():
            own = replace(context, metrics=metrics.of(kind, backend="a"))
            backend = make(plugins.backends, kind, own)
            await backend.open()
            await backend.close()
        for registry in (plugins.valves, plugins.listeners, plugins.gates):
            for kind in registry.kinds():
                made = PluginContext(context.clock, context.logger, metrics.of(kind))
                make(registry, kind, made)

    asyncio.run(make_all())
    return metrics


def make(registry: Registry[Any], kind: str, context: Any) -> Any:
    """Call the factory of a kind, with the options of a sample where it needs any."""
    found = registry.find(kind)
    assert found is not None  # noqa: S101 - it was registered
    options = found.options.model_validate(SAMPLES.get(kind, {}))
    return found.factory(options, context)


def metrics_of_plugins() -> Iterator[str]:
    """Yield the metrics of each plugin in this workspace."""
    yield "| metric | type | labels | plugin | meaning |"
    yield "|---|---|---|---|---|"
    for source in sources():
        for family in plugin_metrics(source):
            name = f"`wsgw_{family.name}{'_total' if family.kind == 'counter' else ''}`"
            labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
            plugin = source.name.replace("_", "-")
            yield f"| {name} | {family.kind} | {labels} | `{plugin}` | {family.help} |"


def families(table: Iterable[Family]) -> Iterator[str]:
    """Yield metrics with their labels."""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for family in table:
        suffix = "_total" if family.kind == "counter" and family in FAMILIES else ""
        labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
        yield f"| `{family.name}{suffix}` | {family.kind} | {labels} | {family.help} |"


def admin_calls() -> Iterator[str]:
    """Yield the calls of the admin API."""
    yield "| call | role | meaning | unknown id |"
    yield "|---|---|---|---|"
    for call in CALLS:
        role = f"`{call.role}`" if call.role else "none"
        path = call.path.replace("{id}", "ID")
        yield f"| `{call.method} {path}` | {role} | {call.meaning} | {call.unknown or '-'} |"


def state_diagram() -> Iterator[str]:
    """Yield the states of a session."""
    yield "```mermaid"
    yield mermaid()
    yield "```"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "configuration": configuration,
    "amqp-backend": amqp_backend,
    "http-backend": http_backend,
    "websocket-backend": websocket_backend,
    "redis-backend": redis_backend,
    "variables": variables,
    "commands": commands,
    "ways": ways,
    "hooks": hooks,
    "contract": contract,
    "ends": ends,
    "exported": exported,
    "testing-kit": testing_kit,
    "capabilities": capabilities,
    "errors": errors,
    "counters": counters,
    "metrics": lambda: families(FAMILIES),
    "metrics-of-plugins": metrics_of_plugins,
    "wsbalancers-metrics": lambda: families(WSBALANCERS),
    "admin-calls": admin_calls,
    "state-diagram": state_diagram,
}


def up_to_date(text: str) -> str:
    """Return a document with its generated parts made anew."""

    def make(match: re.Match[str]) -> str:
        part = "\n".join(PARTS[match[2]]()).rstrip()
        return f"{match[1]}{part}\n{match[3]}"

    return PART.sub(make, text)


def main() -> int:
    """Write or check; return the exit status."""
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text("utf-8")
        after = up_to_date(before)
        if after != before:
            stale.append(path)
            if "--check" not in sys.argv[1:]:
                path.write_text(after, "utf-8")
    for path in stale:
        print(f"{path.relative_to(DOCS.parent)} {'is' if '--check' in sys.argv[1:] else 'was'} old")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
