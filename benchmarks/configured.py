"""Derives a configuration for the benchmark from one that is in use."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml


def read(file: Path) -> dict[str, Any]:
    """Returns the content of a configuration file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither YAML nor TOML, or no mapping.
    """
    try:
        text = file.read_text("utf-8")
        data = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ValueError("not a mapping (keys and values)")
    dashed: dict[str, Any] = _with_dashes(data)
    return dashed


def benched(
    data: dict[str, Any], backends: Sequence[int], *, tls: Path | None, compression: bool | None
) -> dict[str, Any]:
    """Returns a configuration with the benchmark's ends.

    Wherever the file has backends, for the whole gateway or a route, the benchmark's replace them,
    with the options of the file's websocket backends.

    Args:
        data: the content of the file.
        backends: ports of the benchmark's backends.
        tls: certificate and key of the benchmark's frontend; None: no TLS.
        compression: the frontend's compression; None: unchanged.
    """
    made = copy.deepcopy(data)
    frontend = made.setdefault("server", {}).setdefault("frontend", {})
    frontend.pop("tls", None)
    if tls is not None:
        frontend["tls"] = {"certificate": str(tls), "key": str(tls), "minimum-version": "1.3"}
    if compression is not None:
        frontend["compression"] = compression
    upstream = made.setdefault("upstream", {})
    groups = [each for each in (upstream, *made.get("routes", [])) if each.get("backends")]
    for place, group in enumerate(groups or [upstream]):
        group["backends"] = list(_backends(group.get("backends", []), backends, place))
    return made


def _backends(given: Any, ports: Sequence[int], place: int) -> Any:
    websocket = [each for each in given if str(each.get("url", "")).startswith(("ws:", "wss:"))]
    own = ("id", "url", "url-file", "tls")
    for port, entry in zip(ports, cycle(websocket or [{}]), strict=False):
        options = {key: value for key, value in entry.items() if key not in own}
        yield {**options, "id": f"bench-{place}-{port}", "url": f"ws://127.0.0.1:{port}"}


def _with_dashes(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key).replace("_", "-"): _with_dashes(each) for key, each in value.items()}
    return [_with_dashes(each) for each in value] if isinstance(value, list) else value
