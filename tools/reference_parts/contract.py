"""The contract with plugins: hooks, protocols, values, exceptions, and the testing kit."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

from wsgw_core import api, testing
from wsgw_core.api import Close, hookspecs
from wsgw_core.api.close import LOSS_CODES
from wsgw_core.testing.backend_harness import Capabilities

from .self_description import has, signature, summary

# Classes that help authors, with their members; authors make instances of those in MADE.
MADE = (api.OrderedConnection, api.ReplyBuffers, api.SharedLink, api.WindowedConnection)

HELPERS = (*MADE, api.HandshakeField, api.Labelled, api.Metrics, api.Template)


def hooks() -> Iterator[str]:
    """Yields the hooks with their arguments."""
    yield "| hook | what it does |"
    yield "|---|---|"
    for name, function in vars(hookspecs).items():
        if name.startswith("wsgw_"):
            yield f"| `{signature(function)}` | {summary(function)} |"


def contract() -> Iterator[str]:
    """Yields the protocols, and the classes that help authors, with their members."""
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
            yield f"| `{made}` | {'The subclass calls this' if inherited else 'Makes one'}. |"
        for member, value in vars(thing).items():
            if member.startswith("_") or not (callable(value) or isinstance(value, property)):
                continue
            text = member if isinstance(value, property) else signature(value)
            yield f"| `{text}` | {summary(value)} |"
        yield ""


def ends() -> Iterator[str]:
    """Yields what the ends of a backend's connection mean."""
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
    """Yields the classes of the contract that are no protocols."""
    yield "| name | meaning | has |"
    yield "|---|---|---|"
    for name in api.__all__:
        thing = getattr(api, name)
        is_error = isinstance(thing, type) and issubclass(thing, BaseException)
        told = is_error or getattr(thing, "_is_protocol", False) or thing in HELPERS
        if inspect.isclass(thing) and not told:
            yield f"| `{name}` | {summary(thing)} | {', '.join(dict.fromkeys(has(thing)))} |"


def testing_kit() -> Iterator[str]:
    """Yields the names of the testing kit, by the modules that hold them."""
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
    """Yields what a kind of backend can declare to the contract suite."""
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
    """Yields the exceptions of the contract, each below the one it is a kind of."""
    yield "| exception | kind of | meaning |"
    yield "|---|---|---|"
    for name, thing in vars(api.errors).items():
        if isinstance(thing, type) and issubclass(thing, Exception):
            yield f"| `{name}` | `{thing.__bases__[0].__name__}` | {summary(thing)} |"
