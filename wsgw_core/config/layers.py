"""Merges the sources of a configuration: variables override the file.

dynaconf merges. It would also interpret what it merges (`dynaconf_merge`, letter case, lists), so
it gets nothing that it could interpret: keys are checked and written with dashes, and each value is
wrapped in a `Setting`. A list of sections is a mapping with the keys `[0]`, `[1]`, so that a layer
can add an item or change one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from dynaconf.utils import object_merge  # type: ignore[import-untyped]  # has no type hints
from pydantic import BaseModel

from .gateway_config import GatewayConfig
from .problems import (
    KeyPath,
    Origins,
    found_text,
    item_type,
    key_path_text,
    known_keys,
    model_in,
    unknown_key_text,
)
from .upstream_options import BackendEntry, Entry, PolicyEntry

_KEY = re.compile(r"[a-z][a-z0-9-]*\Z")
_NUMBER = re.compile(r"\s*\d+(?:\.\d+)?\s*\Z")


@dataclass(slots=True, eq=False)
class Setting:
    """One value that the merge does not look into.

    Attributes:
        value: the value as given.
        origin: the file and line, or the variable, that gives it.
        below: the origins of the parts of the value, by full key path.
    """

    value: Any
    origin: str
    below: Mapping[KeyPath, str] = field(default_factory=dict)


@dataclass(slots=True)
class Layer:
    """The content of one source.

    Attributes:
        tree: nested mappings with Settings as leaves.
        origins: the origins of its sections; `()` is the whole source.
        problems: its problems.
        rejected: key paths whose values are omitted because of a problem.
    """

    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    rejected: set[KeyPath] = field(default_factory=set)

    def place(
        self, path: KeyPath, value: Any, origin: str, below: Mapping[KeyPath, str] | None = None
    ) -> None:
        """Puts a value at a key path; see Setting."""
        tree = self.tree
        for part in path[:-1]:
            tree = tree.setdefault(_tree_key(part), {})
        tree[_tree_key(path[-1])] = Setting(value, origin, below or {})


def layer_from_data(
    data: dict[str, Any], model: type[BaseModel], source: str, lines: dict[KeyPath, int]
) -> Layer:
    """Makes a layer of the content of a file.

    Args:
        data: the file's content, keys as written.
        model: defines the sections and lists of sections; every other value is one Setting.
        source: the name of the file in problems.
        lines: the lines of the key paths, as written.
    """
    reader = _FileLayer(source, lines)
    reader.layer.tree = reader.tree(data, model, (), ())
    reader.layer.origins[()] = source
    return reader.layer


class Layers:
    """The merged layers; each overrides those before it."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        self._origins: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self.rejected: set[KeyPath] = set()

    def lay(self, layer: Layer) -> None:
        """Merges a layer over those before it.

        An entry whose kind changes loses the options of the old kind.
        """
        _drop_options_of_other_kinds(self._tree, layer.tree, GatewayConfig)
        self._tree = object_merge(self._tree, layer.tree)
        self._origins.update(layer.origins)
        self.problems += layer.problems
        self.rejected |= layer.rejected

    @property
    def tree(self) -> Mapping[str, Any]:
        """The merged tree; callers must not change it."""
        return self._tree

    def result(self) -> tuple[dict[str, Any], Origins]:
        """Returns plain data, and the origins of its values."""
        given: dict[KeyPath, str] = {}
        data: dict[str, Any] = _unfold(self.tree, (), given)
        return data, Origins(self._origins | given, given, _without_unit(data, ()))


def found_in(tree: Any, path: KeyPath) -> Any:
    """Returns the tree, the Setting or None at a key path of a tree."""
    for part in path:
        tree = tree.get(_tree_key(part)) if isinstance(tree, Mapping) else None
    return tree


def items_of(tree: Any, path: KeyPath) -> dict[int, Any]:
    """Returns the items of a list of sections in a tree by number; a rejected one is None."""
    found = found_in(tree, path)
    if not isinstance(found, Mapping):
        return {}
    return {int(key[1:-1]): found[key] for key in found}


class _FileLayer:
    """Converts the content of a file to a layer, guided by the models."""

    def __init__(self, source: str, lines: dict[KeyPath, int]) -> None:
        self.layer = Layer()
        self._source = source
        self._lines = lines

    def tree(self, data: Any, annotation: Any, written: KeyPath, path: KeyPath) -> Any:
        """Returns the tree for a value; None if the value is rejected."""
        self.layer.origins[path] = self._origin(written)
        if (model := model_in(annotation)) is not None:
            return self._section(data, model, written, path)
        if model_in(item_type(annotation)) is not None:
            if not isinstance(data, list):
                return self._reject(path, data, "a list")
            if not data:
                return Setting(data, self._origin(written))
            items = (
                self.tree(item, item_type(annotation), (*written, number), (*path, number))
                for number, item in enumerate(data)
            )
            return {_tree_key(number): item for number, item in enumerate(items)}
        del self.layer.origins[path]
        return Setting(data, self._origin(written), self._origins_below(data, written, path))

    def _section(
        self, data: Any, model: type[BaseModel], written: KeyPath, path: KeyPath
    ) -> dict[str, Any] | None:
        switch = "enabled" in model.model_fields
        if isinstance(data, bool) and switch:
            return {"enabled": Setting(data, self._origin(written))}  # `compression: true`
        if isinstance(data, str) and issubclass(model, PolicyEntry):
            return {"kind": Setting(data, self._origin(written))}  # `policy: hash`
        if not isinstance(data, dict):
            allowed = f"a mapping (keys and values){_example(data, model)}"
            self._reject(path, data, f"true, false or {allowed}" if switch else allowed)
            return None
        known = known_keys(model)
        spelt: dict[str, str] = {}
        section: dict[str, Any] = {}
        for raw, value in data.items():
            key = raw.replace("_", "-")
            here = (*written, raw)
            if not _KEY.match(key):
                self._problem(here, (*path, raw), unknown_key_text(raw, known))
                continue
            if key in spelt:
                self._problem(here, (*path, key), f"is also written as {spelt[key]!r}")
                continue
            spelt[key] = raw
            field_name = known.get(key)
            if value is None and field_name:
                continue  # `valves:` with nothing below it: the default applies
            annotation = model.model_fields[field_name].annotation if field_name else None
            subtree = self.tree(value, annotation, here, (*path, key))
            if subtree is not None:
                section[key] = subtree
        return section

    def _reject(self, path: KeyPath, data: Any, allowed: str) -> None:
        origin = self.layer.origins[path]
        place = ": ".join(part for part in (origin, key_path_text(path)) if part)
        self.layer.problems.append(f"{place}: found {found_text(data, path)}, allowed: {allowed}")
        self.layer.rejected.add(path)

    def _problem(self, written: KeyPath, path: KeyPath, text: str) -> None:
        place = f"{self._origin(written)}: {key_path_text(path)}"
        self.layer.problems.append(f"{place}: {text}")

    def _origins_below(self, data: Any, written: KeyPath, path: KeyPath) -> dict[KeyPath, str]:
        below: dict[KeyPath, str] = {}
        pairs = data.items() if isinstance(data, dict) else ()
        for key, value in enumerate(data) if isinstance(data, list) else pairs:
            below[*path, key] = self._origin((*written, key))
            below |= self._origins_below(value, (*written, key), (*path, key))
        return below

    def _origin(self, written: KeyPath) -> str:
        for length in range(len(written), 0, -1):
            if line := self._lines.get(written[:length]):
                return f"{self._source}:{line}"
        return self._source


def _drop_options_of_other_kinds(below: Any, above: Any, annotation: Any) -> None:
    if not isinstance(below, MutableMapping) or not isinstance(above, Mapping):
        return
    model = model_in(annotation)
    if model is None:
        for key in above.keys() & below.keys():
            _drop_options_of_other_kinds(below[key], above[key], item_type(annotation))
        return
    known = known_keys(model)
    if issubclass(model, Entry):
        old, new = below.get("kind"), above.get("kind")
        if isinstance(old, Setting) and isinstance(new, Setting) and old.value != new.value:
            for key in below.keys() - known:
                del below[key]
    for key in above.keys() & below.keys() & known.keys():
        inner = model.model_fields[known[key]].annotation
        _drop_options_of_other_kinds(below[key], above[key], inner)


def _example(data: Any, model: type[BaseModel]) -> str:
    """Returns an entry to show if the file has a bare text in its place, such as a URL."""
    if not isinstance(data, str) or not issubclass(model, Entry):
        return ""
    likely = "url: ws://host:port" if issubclass(model, BackendEntry) else "kind: NAME"
    return f", such as {{{likely}}}"


def _tree_key(part: str | int) -> str:
    return f"[{part}]" if isinstance(part, int) else part


def _without_unit(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Yields the key paths of numbers, and of texts that contain only a number."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _without_unit(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _without_unit(inner, (*path, number))
    elif isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.match(value)):
        yield path


def _unfold(tree: Any, path: KeyPath, given: dict[KeyPath, str]) -> Any:
    if isinstance(tree, Setting):
        given[path] = tree.origin
        given.update(tree.below)
        return tree.value
    if tree is None:
        return None
    if tree and all(key.startswith("[") for key in tree):
        items = items_of(tree, ())
        return [_unfold(items[number], (*path, number), given) for number in sorted(items)]
    return {key: _unfold(item, (*path, key), given) for key, item in tree.items()}
