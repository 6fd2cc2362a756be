"""Makes a layer of the variables `WSGW_...`; every key of the configuration has one.

`WSGW_FAILOVER__PING_TIMEOUT` sets `failover.ping-timeout`, `WSGW_UPSTREAM__BACKENDS__0__URL` the
URL of the first backend. Unknown keys, such as the options of plugins, are taken with dashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..api.options import split_text
from .gateway_config import GatewayConfig
from .layers import Layer, Setting, found_in, items_of
from .problems import (
    KeyPath,
    item_type,
    key_path_text,
    known_keys,
    model_in,
    places_of,
    unknown_key_text,
)
from .secrets import names_secret_file
from .upstream_options import PolicyEntry

PREFIX = "WSGW_"

_OTHERS = {"WSGW_DEBUG"}  # not part of the configuration
# Kubernetes sets such variables for services named wsgw or wsgw-something.
_SERVICE_LINK = re.compile(
    r"WSGW_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)\Z"
)
_LEVELS = "separate levels with two underscores, as in WSGW_FAILOVER__HOLD"
_NUMBER = re.compile(r"\d{1,4}\Z")


def layer_from_variables(environment: Mapping[str, str], below: Mapping[str, Any]) -> Layer:
    """Makes a layer of the variables that are set; an empty variable counts as unset.

    Args:
        environment: all variables; those of other programs are ignored.
        below: the tree of the layers below; a variable can change one item of a list.
    """
    reader = _Reader(below)
    names = [
        name
        for name in environment
        if name.startswith(PREFIX)
        and name not in _OTHERS
        and ("__" in name or not _SERVICE_LINK.match(name))
        and environment[name].strip()
        and name.isprintable()  # no shell or container sets others
    ]
    # Sorts the items of a list by number: `..._10` after `..._9`.
    for name in sorted(names, key=lambda name: [_part(part) for part in name.split("__")]):
        reader.read(name, environment[name].strip())
    return reader.layer


class _Misnamed(Exception):
    """The name of a variable matches no key; the text says why."""


class _Reader:
    """Places the value of each variable in the layer, guided by the models."""

    def __init__(self, below: Mapping[str, Any]) -> None:
        self.layer = Layer()
        self._below = below

    def read(self, name: str, text: str) -> None:
        """Places the value of one variable, or reports a problem."""
        path: KeyPath = ()
        annotation: Any = GatewayConfig
        parts = name.removeprefix(PREFIX).lower().split("__")
        try:
            while parts:
                if (model := model_in(annotation)) is not None:
                    key = parts.pop(0).replace("_", "-")
                    path = (*path, key)
                    annotation = self._annotation(model, path)
                elif (item := model_in(item_type(annotation))) is not None:
                    path = (*path, self._index(path, parts.pop(0)))
                    annotation = item
                else:
                    return self._change(path, parts, text, name)
            self._place(path, annotation, text, name)
        except _Misnamed as error:
            place = f"{name}: {key_path_text(path)}" if path else name
            flat = "__" not in name and "_" in name.removeprefix(PREFIX)
            hint = f" ({_LEVELS})" if flat else ""
            self.layer.problems.append(f"{place}: {error}{hint}")

    def _annotation(self, model: type[BaseModel], path: KeyPath) -> Any:
        *_, key = map(str, path)
        field_name = known_keys(model).get(key)
        if field_name:
            return model.model_fields[field_name].annotation
        if names_secret_file(model, key):
            return str
        if model.model_config.get("extra") == "allow" and key:
            return None  # an option of a plugin, which checks it
        elsewhere = places_of(GatewayConfig, key, path[:-1])
        raise _Misnamed(unknown_key_text(key, known_keys(model), elsewhere))

    def _index(self, path: KeyPath, part: str) -> int:
        known = items_of(self._below, path).keys() | items_of(self.layer.tree, path).keys()
        return _index(part, len(known))

    def _place(self, path: KeyPath, annotation: Any, text: str, name: str) -> None:
        model = model_in(annotation)
        if model is not None and "enabled" in model.model_fields:
            path = (*path, "enabled")  # `WSGW_FAILOVER=false`
        elif model is not None and issubclass(model, PolicyEntry):
            path = (*path, "kind")  # `WSGW_UPSTREAM__POLICY=hash`
        elif model is not None:
            raise _Misnamed(f"is a section: name one of its keys, as in {name}__KEY")
        elif model_in(item_type(annotation)) is not None:
            raise _Misnamed(f"is a list of sections: name a key of one, as in {name}__0__KEY")
        self.layer.place(path, text, name)

    def _change(self, path: KeyPath, parts: list[str], text: str, name: str) -> None:
        """Changes a part of a value that has no model, or an item of a list."""
        setting = found_in(self.layer.tree, path) or found_in(self._below, path)
        if not isinstance(setting, Setting):
            setting = Setting(None, name)
        value, inner = _changed(setting.value, parts, text)
        below = {**setting.below, (*path, *inner): name}
        self.layer.place(path, value, setting.origin, below)


def _changed(value: Any, parts: list[str], text: str) -> tuple[Any, KeyPath]:
    """Returns a value with the text at a place inside it, and the key path of the place."""
    if not parts:
        return text, ()
    part, rest = parts[0], parts[1:]
    if isinstance(value, str) and _NUMBER.match(part):
        value = split_text(value)
    if isinstance(value, list) or (value is None and _NUMBER.match(part)):
        items: list[Any] = value or []
        number = _index(part, len(items))
        inner, path = _changed(items[number] if number < len(items) else None, rest, text)
        return [*items[:number], inner, *items[number + 1 :]], (number, *path)
    if isinstance(value, bool):
        value = {"enabled": value}  # `compression: true`
    if value is not None and not isinstance(value, dict):
        raise _Misnamed(f"has no keys below it, such as {part!r}")
    keys: dict[str, Any] = value or {}
    key = part.replace("_", "-")
    key = next((known for known in keys if known.lower().replace("_", "-") == key), key)
    inner, path = _changed(keys.get(key), rest, text)
    return {**keys, key: inner}, (key, *path)


def _index(part: str, count: int) -> int:
    if not _NUMBER.match(part):
        raise _Misnamed(f"found {part!r}, allowed: the number of an item, counted from 0")
    number = int(part)
    if number > count:
        raise _Misnamed(f"there is no item {number}; the next free number is {count}")
    return number


def _part(part: str) -> tuple[int, str]:
    return (int(part), "") if _NUMBER.match(part) else (-1, part)
