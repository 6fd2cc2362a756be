"""Loads the configuration: the file overrides the defaults, the environment overrides the file.

The variables `WSGW_...` override the variables of wsbalancer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from ..api.bounded_file import read_bytes
from ..api.options import size_text
from .gateway_config import GatewayConfig
from .layers import Layers, layer_from_data
from .problems import KeyPath, Origins, found_text, key_path_text, validation_errors
from .secrets import with_secrets
from .toml_file import read_toml
from .variables import layer_from_variables
from .wsbalancer import layer_from_wsbalancers_variables, misspelt_variables
from .yaml_file import FileContent, read_yaml

_log = logging.getLogger("wsgw")

# wsbalancer's README writes `ws:localhost:9090`.
_URL_WITHOUT_SLASHES = re.compile(r"([a-z][a-z0-9+.-]*):([^/:@\s]+:\d+(?:/.*)?)\Z", re.IGNORECASE)
_DEEPEST = 50  # levels of data that a program passes
MAX_FILE = 1024 * 1024  # bytes
_WITHOUT_BACKEND = ("upstream", "backends"), "needs at least 1, found 0"
_NO_BACKEND = "no backend: set upstream.backends in a file (option -c), or set BE_URLS"
_NO_BACKEND_FOR_ROUTES = (
    "needs at least 1, found 0; remove this key if every route has its own 'backends'"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """The merged sources, checked by the core's own models.

    Attributes:
        data: the merged data, for `GatewayConfig`.
        origins: the origins of the values.
        problems: the problems, each with source, key path, value found and what is allowed.
        config: the checked configuration; None if there are problems.
    """

    data: dict[str, Any]
    origins: Origins
    problems: tuple[str, ...]
    config: GatewayConfig | None


def read_sources(file: Path | None, environment: Mapping[str, str]) -> Draft:
    """Reads and merges file and environment, and checks the core's options.

    Args:
        file: a YAML file, or a TOML file if its suffix is `.toml`; None: only the environment.
        environment: the variables, such as `os.environ`.
    """
    content = _read_file(file) if file is not None else FileContent(data={})
    return _merged(content, str(file or ""), environment)


def read_mapping(data: Mapping[str, Any], environment: Mapping[str, str]) -> Draft:
    """Works like `read_sources` with the data of a mapping instead of a file."""
    content = FileContent()
    content.data = _plain(data, (), content.problems)
    if not isinstance(content.data, dict):
        found = found_text(data)
        content.problems.append(f"found {found}, allowed: a mapping (keys and values)")
    return _merged(content, "", environment)


def _plain(value: Any, path: KeyPath, problems: list[str]) -> Any:
    """Converts a value that a program passes to the types that a file can contain."""
    if len(path) > _DEEPEST:  # or in a circle
        problems.append(f"{key_path_text(path[:3])}: nested too deep")
        return None
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                place = key_path_text(path)
                text = f"found the key {found_text(key)}, allowed: text"
                problems.append(f"{place}: {text}" if place else text)
        texts = {key: each for key, each in value.items() if isinstance(key, str)}
        return {key: _plain(each, (*path, key), problems) for key, each in texts.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, (*path, number), problems) for number, each in enumerate(value)]
    return str(value) if isinstance(value, PurePath) else value


def _merged(content: FileContent, source: str, environment: Mapping[str, str]) -> Draft:
    layers = Layers()
    if isinstance(content.data, dict):
        layers.lay(layer_from_data(content.data, GatewayConfig, source, content.lines))
    layers.lay(layer_from_wsbalancers_variables(environment, layers.tree))
    layers.lay(layer_from_variables(environment, layers.tree))
    for name, meant in misspelt_variables(environment):
        _log.warning("%s: unknown variable; did you mean %r?", name, meant)
    merged, origins = layers.result()
    data, unreadable = with_secrets(merged, GatewayConfig, origins)
    repair_urls(data, origins)
    problems = [*content.problems, *layers.problems, *unreadable]
    # Values that could not be read are missing now; that must not be reported again.
    known = set(layers.rejected)
    if not isinstance(content.data, dict) or ("upstream",) in known or "backends" in data:
        known.add(("upstream", "backends"))
    no_backend = _NO_BACKEND_FOR_ROUTES if data.get("routes") else _NO_BACKEND
    config = None
    try:
        config = GatewayConfig.model_validate(data)
    except ValidationError as error:
        problems += [
            origins.problem(path, no_backend if (path, text) == _WITHOUT_BACKEND else text)
            for path, text in validation_errors(error, GatewayConfig, origins)
            if path not in known
        ]
    return Draft(data, origins, tuple(problems), None if problems else config)


def _read_file(file: Path) -> FileContent:
    name = str(file)
    try:
        raw = read_bytes(file, MAX_FILE, pipes=True)
    except FileNotFoundError:
        return FileContent(problems=[f"{name}: file not found"])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return FileContent(problems=[f"{name}: cannot be read: {reason}"])
    if len(raw) > MAX_FILE:
        return FileContent(problems=[f"{name}: larger than {size_text(MAX_FILE)}"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return FileContent(problems=[f"{name}:{line}: not UTF-8 text"])
    content = read_toml(text, name) if file.suffix == ".toml" else read_yaml(text, name)
    if content.problems and content.data is None:
        return content
    if content.data is None:
        content.data = {}  # an empty file, or one with comments only
    if not isinstance(content.data, dict):
        found = "a list" if isinstance(content.data, list) else "a single value"
        content.problems.append(f"{name}: found {found}, allowed: a mapping (keys and values)")
    return content


def repair_urls(data: dict[str, Any], origins: Origins) -> None:
    """Completes URLs such as `ws:host:port` in place, with a warning."""
    for place, backend in _backends_in(data):
        url, path = backend.get("url") if isinstance(backend, dict) else None, (*place, "url")
        if not isinstance(url, str):
            continue
        if match := _URL_WITHOUT_SLASHES.match(url):
            backend["url"] = f"{match[1]}://{match[2]}"
            taken = f"read {found_text(url)} as {found_text(backend['url'])}"
            _log.warning("%s", origins.problem(path, taken))


def _backends_in(data: dict[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Yields the unchecked backend entries of all groups, each with its key path."""
    groups: list[tuple[KeyPath, Any]] = [(("upstream",), data.get("upstream"))]
    routes = data.get("routes")
    if isinstance(routes, list):
        groups += [(("routes", number), route) for number, route in enumerate(routes)]
    for path, group in groups:
        backends = group.get("backends") if isinstance(group, dict) else None
        for number, backend in enumerate(backends if isinstance(backends, list) else ()):
            yield (*path, "backends", number), backend
