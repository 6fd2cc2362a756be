"""Reads the environment variables that wsbalancer knows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

from .config_layers import Layer
from .config_problems import KeyPath

_PATHS: dict[str, KeyPath] = {
    "FE_ADDR": ("server", "frontend", "address"),
    "ADM_ADDR": ("server", "admin", "address"),
    "LOG_LEVEL": ("server", "logging-level"),
}
_BACKENDS: KeyPath = ("upstream", "backends")


def layer_from_variables(environment: Mapping[str, str], backends_in_file: int) -> Layer:
    """Make a layer of the variables that are set; an empty one counts as not set.

    Args:
        environment: all variables; other programs' are ignored.
        backends_in_file: `BE_URLS` adds backends behind these.
    """
    layer = Layer()
    for name, path in _PATHS.items():
        if text := environment.get(name, "").strip():
            layer.place(path, text, name)
    _place_backends(layer, environment, backends_in_file)
    return layer


def _place_backends(layer: Layer, environment: Mapping[str, str], first: int) -> None:
    urls = _items(layer, environment, "BE_URLS")
    ids = _items(layer, environment, "BE_URL_IDS")
    if ids and len(ids) != len(urls):
        layer.problems.append(
            f"BE_URL_IDS: found {len(ids)} ids for {len(urls)} URLs in BE_URLS,"
            " allowed: one for each, in the same order"
        )
        ids = []
    number = first
    for url, name in zip_longest(urls, ids, fillvalue=""):
        if url:  # an empty one is a problem already
            layer.place((*_BACKENDS, number, "url"), url, "BE_URLS")
            if name:
                layer.place((*_BACKENDS, number, "id"), name, "BE_URL_IDS")
            number += 1


def _items(layer: Layer, environment: Mapping[str, str], name: str) -> list[str]:
    text = environment.get(name, "").strip()
    if not text:
        return []
    items = [item.strip() for item in text.split(",")]
    if "" in items:
        layer.problems.append(
            f"{name}: item {items.index('') + 1} is empty, allowed: values separated by commas"
        )
    return items
