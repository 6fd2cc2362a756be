"""Words the problems of a configuration: the place, the value found, what is allowed."""

from __future__ import annotations

import math
import re
import reprlib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..masking import is_below_secret, masked, masked_text, without_secrets_of
from .names import PATTERNS_IN_WORDS

KeyPath = tuple[str | int, ...]

_LONGEST = 60  # characters shown of a value; longer than every known key
_MOST_PLACES = 3  # suggested places for a misplaced key; more would not help

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _LONGEST
_shorten.maxlevel = 2

_ALLOWS = ", allowed: "
_PLAIN_KEY = re.compile(r"[\w-]+\Z")

# Clearer descriptions than pydantic's of what a value should be.
_ALLOWED = {
    "model_type": "a mapping (keys and values)",
    "dict_type": "a mapping (keys and values)",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text (put it in quotes)",
    "string_unicode": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
}


class Origins:
    """Where the values of a configuration come from: `wsgw.yaml:12`, `FE_ADDR`.

    Keys are the same with dashes and with underscores.

    Args:
        known: the origin of each key path that has its own; `()` is the whole configuration.
        given: the key paths among them that are values; the others are sections.
        without_unit: the key paths of values that are numbers, or texts of digits only.
    """

    def __init__(
        self,
        known: Mapping[KeyPath, str] | None = None,
        given: Iterable[KeyPath] = (),
        without_unit: Iterable[KeyPath] = (),
    ) -> None:
        self._known = {_with_dashes(path): origin for path, origin in (known or {}).items()}
        self._given = set(map(_with_dashes, given))
        self._without_unit = set(map(_with_dashes, without_unit))
        self._files: dict[KeyPath, str] = {}

    def place(self, path: KeyPath) -> str:
        """Returns origin and key path, such as `wsgw.yaml:12: failover.hold`.

        A path without its own origin has the origin of its section.
        """
        dashed = _with_dashes(path)
        origin = next(
            (
                self._known[dashed[:length]]
                for length in range(len(dashed), -1, -1)
                if dashed[:length] in self._known
            ),
            "",
        )
        return ": ".join(part for part in (origin, key_path_text(path)) if part)

    def problem(self, path: KeyPath, text: str) -> str:
        """Returns the line that reports one problem."""
        place = self.place(path)
        return f"{place}: {text}" if place else text

    def in_order(self, problems: Iterable[str]) -> list[str]:
        """Returns problems in the order of the file's lines; those without a line come last."""
        line = re.compile(rf"{re.escape(self._known.get((), ''))}:(\d+): ")

        def place(problem: str) -> float:
            match = line.match(problem)
            return int(match[1]) if match else math.inf

        return sorted(problems, key=place)

    def is_without_unit(self, path: KeyPath) -> bool:
        """Returns whether a value was given as a number, or as a text of digits alone."""
        return _with_dashes(path) in self._without_unit

    def sources(self, path: KeyPath) -> list[str]:
        """Returns the origins of a value and its parts; empty for a default."""
        path = _with_dashes(path)
        found = {
            self._known[given]: None
            for given in sorted(self._given, key=len)
            if given[: len(path)] == path
        }
        section = path[:-1]
        if not found and path[-1:] == ("enabled",) and section in self._given:
            found = {self._known[section]: None}  # `compression: true`
        return list(found)

    def given_by_file(self, path: KeyPath, file: str) -> None:
        """Records that a secret was read from the file that the key `...-file` names."""
        self._files[path] = file
        *section, key = path
        if (named := (*section, f"{key}-file")) in self._known:
            self._known[path] = self._known[named]
            self._given.add(path)

    def file(self, path: KeyPath) -> str | None:
        """Returns the file that a secret was read from, or None."""
        return self._files.get(_with_dashes(path))


def _with_dashes(path: KeyPath) -> KeyPath:
    return tuple(part.replace("_", "-") if isinstance(part, str) else part for part in path)


def key_path_text(path: KeyPath) -> str:
    """Writes a key path as `upstream.backends[1].ping-time`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif len(part) > _LONGEST or not _PLAIN_KEY.match(part):
            text += f"[{found_text(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def found_text(value: Any, path: KeyPath = ()) -> str:
    """Returns a short representation of a value, without secrets.

    Args:
        value: any value.
        path: its key path; a text without a key path may be a URL.
    """
    return _shorten.repr(masked(value, "secret" if is_below_secret(path) else "url"))


def unknown_key_text(key: str, known: Mapping[str, str], elsewhere: Sequence[KeyPath] = ()) -> str:
    """Returns the problem text for an unknown key, with the key that was probably meant.

    Args:
        key: the unknown key.
        known: the keys allowed there, as returned by `known_keys`.
        elsewhere: other key paths at which the configuration allows this key.
    """
    near = get_close_matches(key[:_LONGEST].lower().replace("_", "-"), list(known), n=1)
    if not near and len(elsewhere) <= _MOST_PLACES:
        near = list(map(key_path_text, elsewhere))
    if near:
        meant = " or ".join(map(repr, near))
        return f"unknown key {found_text(key)}; did you mean {meant}?"
    if known:
        return f"unknown key {found_text(key)}; allowed: {', '.join(sorted(known))}"
    return f"unknown key {found_text(key)}; no key is allowed here"


def validation_problems(
    error: ValidationError, model: type[BaseModel], origins: Origins, prefix: KeyPath = ()
) -> list[str]:
    """Returns one line for each problem that a model has found.

    Args:
        error: the error that the model raised.
        model: the model, for suggestions instead of unknown keys.
        origins: the origins of the values.
        prefix: the key path of the data that the model checked.
    """
    return [
        origins.problem(prefix + path, text)
        for path, text in validation_errors(error, model, origins, prefix)
    ]


def validation_errors(
    error: ValidationError,
    model: type[BaseModel],
    origins: Origins | None = None,
    prefix: KeyPath = (),
) -> list[tuple[KeyPath, str]]:
    """Returns the text of each problem that a model has found; see `validation_problems`.

    Returns:
        The texts, each with its key path in the model. Values read from a secret file are hidden.
    """
    origins = origins or Origins()
    found: list[tuple[KeyPath, str]] = []
    for details in error.errors(include_url=False):
        if _is_echo(details):
            continue
        location = _without_alternatives(details["loc"], model)
        path = _without_key_mark(location)
        text = _describe({**details, "loc": location}, model, origins, prefix)
        if len(location) < len(details["loc"]) and found and found[-1][0] == path:
            found[-1] = path, f"{found[-1][1]} or {text.rpartition(_ALLOWS)[2]}"
        else:
            found.append((path, text))
    return found


def known_keys(model: type[BaseModel]) -> dict[str, str]:
    """Returns the keys of a model as users write them, each with the name of its field."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Returns the model for the section at a key path, or None."""
    current: Any = model
    for part in path:
        current = _type_below(current, part)
    return model_in(current)


def _type_below(annotation: Any, part: str | int) -> Any:
    """Returns the type of an item or a key of what has this type, or None."""
    if isinstance(part, int):
        return item_type(annotation)
    if (found := model_in(annotation)) is None:
        return None
    name = known_keys(found).get(part)
    return found.model_fields[name].annotation if name else None


def places_of(model: type[BaseModel], key: str, at: KeyPath) -> list[KeyPath]:
    """Returns the key paths at which a misplaced key is allowed.

    Args:
        model: the model of the whole configuration.
        key: the key as written.
        at: the section in which it was found; matches inside it take precedence.
    """
    key = key.replace("_", "-")
    inner = model_at(model, at)
    below = [(*at, *path) for path in _paths_to(inner, key)] if inner is not None else []
    return below or list(_paths_to(model, key))


def _paths_to(model: type[BaseModel], key: str) -> Iterator[KeyPath]:
    for name, field_name in known_keys(model).items():
        if name == key:
            yield (name,)
        elif (inner := model_in(model.model_fields[field_name].annotation)) is not None:
            yield from ((name, *path) for path in _paths_to(inner, key))


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Returns the only model in an annotation such as `Model` or `Model | None`, or None."""
    models = [
        each
        for each in _alternatives(annotation)
        if isinstance(each, type) and issubclass(each, BaseModel)
    ]
    return models[0] if len(models) == 1 else None


def item_type(annotation: Any) -> Any:
    """Returns `T` for `tuple[T, ...]`, `list[T]` and their unions with None; otherwise None."""
    lists = [each for each in _alternatives(annotation) if get_origin(each) in (tuple, list)]
    return get_args(lists[0])[0] if len(lists) == 1 else None


def _alternatives(annotation: Any) -> list[Any]:
    """Returns the types in an annotation: `A` and `None` for `Annotated[A, ...] | None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [each for option in get_args(annotation) for each in _alternatives(option)]
    return [annotation]


def _without_alternatives(location: KeyPath, model: type[BaseModel]) -> KeyPath:
    """Removes the name that pydantic adds for each alternative of a union such as `bool | str`."""
    current: Any = model
    path: list[str | int] = []
    for part in location:
        alternatives = [each for each in _alternatives(current) if each is not types.NoneType]
        if len(alternatives) > 1:
            current = None
            continue
        path.append(part)
        current = _type_below(current, part)
    return tuple(path)


def _without_key_mark(location: KeyPath) -> KeyPath:
    """Removes the mark with which pydantic reports an invalid key instead of a value."""
    return location[:-1] if location[-1:] == ("[key]",) else location


def _is_echo(details: ErrorDetails) -> bool:
    """Returns whether "list too short" only follows from invalid items, which are also reported."""
    if details["type"] != "too_short":
        return False
    return len(details["input"]) >= int(details["ctx"]["min_length"])


def _describe(
    details: ErrorDetails, model: type[BaseModel], origins: Origins, prefix: KeyPath
) -> str:
    kind, location, value = details["type"], details["loc"], details["input"]
    key = str(location[-1]) if location else ""
    file = origins.file(prefix + location)
    found = f"the content of {file}" if file is not None else found_text(value, location)
    if kind == "extra_forbidden":
        owner = model_at(model, location[:-1])
        known = known_keys(owner) if owner else {}
        return unknown_key_text(key, known, places_of(model, key, location[:-1]))
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        allowed = _one_line(without_secrets_of(value, str(details["ctx"]["error"]), key))
        if file is not None:
            allowed = allowed.replace(str(value), "***")
        # For a whole section, the message is enough; the contents would hide it.
        whole = isinstance(value, (dict, list, tuple, BaseModel))
        return allowed if whole else f"found {found}: {allowed}"
    if kind == "too_short":
        return f"needs at least {details['ctx']['min_length']}, found {len(value)}"
    if kind in _ALLOWED:
        allowed = _ALLOWED[kind]
    elif kind == "string_pattern_mismatch":
        pattern = details["ctx"]["pattern"]
        allowed = PATTERNS_IN_WORDS.get(pattern, f"text that matches {pattern}")
    else:
        allowed = _one_line(details["msg"].removeprefix("Input should be "))
    return f"found {found}{_ALLOWS}{allowed}"


def _one_line(text: str) -> str:
    return masked_text(" ".join(text.split()))
