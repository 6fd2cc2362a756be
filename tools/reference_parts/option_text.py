"""How the reference writes an option: its type and its default."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from wsgw_http.statuses import statuses_text
from wsgw_valves.remember.condition import Condition
from wsgw_valves.remember.finder import Finder

from wsgw_core import api
from wsgw_core.api.options import duration_text, parse_duration, parse_size, size_text
from wsgw_core.config.address import Address, parse_address
from wsgw_core.config.problems import item_type, model_in

# The texts for the contract's types of options.
OWN_TYPES = {
    api.HandshakeField: "name of a value",
    api.Template: "template",
    Condition: "condition",
    Finder: "path or expression",
    api.Subprotocols: "`first`, `none` or list of texts",
}


def type_text(field: FieldInfo) -> str:
    """Returns a text that says which values an option accepts."""
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


def default_text(field: FieldInfo) -> str:
    """Returns the default as a file would hold it, or a text that there is none."""
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


def checks(field: FieldInfo) -> list[Any]:
    """Returns the functions that read and check a field's value, even if the field may be none."""
    found = list(field.metadata)
    for each in getattr(without_none(field.annotation), "__metadata__", ()):
        found += each.metadata if isinstance(each, FieldInfo) else [each]
    return found


def validators(field: FieldInfo) -> set[Any]:
    """Returns the functions that read a field's value."""
    return {each.func for each in checks(field) if isinstance(each, BeforeValidator)}


def item_text(annotation: Any) -> str:
    """Returns a text that says what the items of a list are."""
    return "whole numbers" if "int" in plain_text(annotation, words=False) else "texts"


def without_none(annotation: Any) -> Any:
    """Returns `T` for `T | None`."""
    parts = [each for each in get_args(annotation) if each is not NoneType]
    return parts[0] if NoneType in get_args(annotation) and len(parts) == 1 else annotation


def inside(annotation: Any) -> Iterator[Any]:
    """Yields an annotation and all its parts."""
    yield annotation
    for part in get_args(annotation):
        yield from inside(part)


def plain_text(annotation: Any, *, words: bool = True) -> str:
    """Returns a text for a simple type; our own types are written as text."""
    options = list(inside(annotation))
    for own, text in OWN_TYPES.items():
        if any(isinstance(each, type) and issubclass(each, own) for each in options):
            return f"{text} or `false`" if Literal[False] in options else text
    found = next((each for each in (bool, int, float, str) if each in options), str)
    said = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
    return said[found] if words else found.__name__
