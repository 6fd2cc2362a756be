"""Makes a layer of wsbalancer's environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any

from ..api.options import split_text
from .layers import Layer, Setting, items_of
from .problems import KeyPath
from .wsbalancer_variables import (
    ALL_VARIABLES,
    BACKEND_VARIABLES,
    BE_PASS_HEADERS,
    BE_URL_IDS,
    BE_URLS,
    GATEWAY_VARIABLES,
    Variable,
)

_BACKENDS: KeyPath = ("upstream", "backends")
_PREFIXED = re.compile(r"(?:FE|BE|ADM)_[A-Z0-9_]{1,40}\Z")
_NEAR = 0.75  # cutoff of `get_close_matches`: accepts BE_URL and FE_ADDRESS, not FE_PORT
_WEBSOCKET = ("ws", "wss")  # the only kind of backend in wsbalancer


def layer_from_wsbalancers_variables(
    environment: Mapping[str, str], below: Mapping[str, Any]
) -> Layer:
    """Makes a layer of the variables that are set; an empty one counts as not set.

    Args:
        environment: all variables; those of other programs are ignored.
        below: the tree of the layers below. The layer adds backends to it; options also apply to
            the backends of routes.
    """
    layer = Layer()
    for variable in GATEWAY_VARIABLES:
        if text := _text(environment, variable):
            layer.place(tuple(variable.key.split(".")), text, variable.name)
    backends = items_of(below, _BACKENDS)
    for number, url, name in _new_backends(layer, environment, len(backends)):
        backends[number] = {"url": Setting(url, BE_URLS.name)}
        layer.place((*_BACKENDS, number, "url"), url, BE_URLS.name)
        if name:
            layer.place((*_BACKENDS, number, "id"), name, BE_URL_IDS.name)
    groups = {_BACKENDS: backends}
    for number in items_of(below, ("routes",)):
        path: KeyPath = ("routes", number, "backends")
        groups[path] = items_of(below, path)
    for path, group in groups.items():
        for number, backend in group.items():
            if isinstance(backend, Mapping) and _is_websocket(backend):
                _place_options(layer, environment, (*path, number), backend)
    return layer


def misspelt_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields each variable with a misspelt name, and the correct name.

    Ignores names without a prefix of wsbalancer: they may belong to another program.
    """
    known = [variable.name for variable in ALL_VARIABLES]
    for name in sorted(environment):
        if not _PREFIXED.match(name) or name in known or not environment[name].strip():
            continue
        if near := get_close_matches(name, known, n=1, cutoff=_NEAR):
            yield name, near[0]


def _new_backends(
    layer: Layer, environment: Mapping[str, str], first: int
) -> list[tuple[int, str, str]]:
    urls = _items(layer, environment, BE_URLS)
    ids = _items(layer, environment, BE_URL_IDS)
    if ids and len(ids) != len(urls):
        layer.problems.append(
            f"BE_URL_IDS: found {len(ids)} ids for {len(urls)} URLs in BE_URLS,"
            " allowed: one for each, in the same order"
        )
        ids = []
    pairs = zip_longest(urls, ids, fillvalue="")
    given = [(url, name) for url, name in pairs if url]  # an empty one is a problem already
    return [(first + place, url, name) for place, (url, name) in enumerate(given)]


def _place_options(
    layer: Layer, environment: Mapping[str, str], path: KeyPath, backend: Mapping[str, Any]
) -> None:
    for variable in BACKEND_VARIABLES:
        if text := _text(environment, variable):
            layer.place((*path, variable.key), text, variable.name)
    added = _items(layer, environment, BE_PASS_HEADERS)
    if added:
        key = BE_PASS_HEADERS.key
        given = backend.get(key)
        old = given.value if isinstance(given, Setting) else []
        old = split_text(old) if isinstance(old, str) else old
        # A value that is not a list is reported elsewhere, with its place in the file.
        if isinstance(old, list):
            layer.place((*path, key), [*old, *added], BE_PASS_HEADERS.name)


def _is_websocket(backend: Mapping[str, Any]) -> bool:
    kind, url = (
        setting.value if isinstance(setting, Setting) else None
        for setting in (backend.get("kind"), backend.get("url"))
    )
    if isinstance(kind, str):
        return kind in _WEBSOCKET
    return isinstance(url, str) and url.partition(":")[0].lower().removeprefix("dns+") in _WEBSOCKET


def _items(layer: Layer, environment: Mapping[str, str], variable: Variable) -> list[str]:
    items = split_text(environment.get(variable.name, ""))
    if "" in items:
        problem = (
            f"{variable.name}: item {items.index('') + 1} is empty,"
            " allowed: values separated by commas"
        )
        if problem not in layer.problems:
            layer.problems.append(problem)
    return items


def _text(environment: Mapping[str, str], variable: Variable) -> str:
    return environment.get(variable.name, "").strip()
