"""Signature, summary and members of a class or function, from its own definition."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any


def signature(function: Callable[..., Any]) -> str:
    """Returns a function's name and arguments as its author wrote them, without `self`."""
    given = inspect.signature(function)
    kept = [each for each in given.parameters.values() if each.name != "self"]
    text = str(given.replace(parameters=kept)).replace(", /)", ")").replace("|", "\\|")
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations are kept as texts
    text = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text)  # members of enumerations
    prefix = "async " if inspect.iscoroutinefunction(function) else ""
    return prefix + function.__name__ + text


def summary(thing: object) -> str:
    """Returns the first line of a docstring, fit for a table."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].replace("|", "\\|")


def has(thing: type) -> Iterator[str]:
    """Yields the attributes of a value, and what makes one."""
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
