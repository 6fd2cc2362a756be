"""Writes the configuration of a backend as wsbalancer does."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ..control.status import BackendSettings


def backend_config(settings: BackendSettings) -> dict[str, Any]:
    """Returns the options of a backend, with durations in Go's notation, such as `10m0s`."""
    options = deepcopy(dict(settings.options))
    for *above, key in settings.durations:
        holder = options
        for name in above:
            holder = holder[name]
        if isinstance(holder[key], float):  # otherwise masked
            holder[key] = go_duration(holder[key])
    return {
        **options,
        "url": settings.url,
        "id": settings.id,
        "kind": settings.kind,
        "breaker-threshold": settings.breaker_threshold,
        "priority": settings.priority,
        "weight": settings.weight,
        "route": settings.group,
    }


def go_duration(seconds: float) -> str:
    """Formats a duration as Go does: `10m0s`, `1.5s`, `250ms`."""
    nanoseconds = round(seconds * 1e9)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if 0 < nanoseconds < size * 1_000:
            return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 1_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(number: int, unit: int) -> str:
    whole, part = divmod(number, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)
