"""A backend's configuration, written as wsbalancer writes it."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from ..api.options import parse_duration
from ..components import BackendComponent
from ..masking import masked


def backend_config(component: BackendComponent) -> dict[str, Any]:
    """Return the keys of a backend as plain data: its kind's own too, secrets masked.

    Durations are written in Go's notation, such as `10m0s`.
    """
    entry = component.entry
    own = _plain(component.options)
    config = {
        **own,
        "url": entry.url or "",
        "id": component.id,
        "kind": component.registration.kind,
        "breaker-threshold": entry.breaker_threshold,
        "priority": entry.priority,
        "weight": entry.weight,
        "route": component.group,
    }
    return {key: masked(value, key) for key, value in config.items()}


def go_duration(seconds: float) -> str:
    """Write a duration as Go does: `10m0s`, `1.5s`, `250ms`."""
    nanoseconds = round(seconds * 1e9)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if 0 < nanoseconds < size * 1_000 and nanoseconds < 1_000_000_000:
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


def _plain(model: BaseModel) -> dict[str, Any]:
    plain = model.model_dump(mode="json", by_alias=True)
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            plain[field.alias or name] = _plain(value)
        elif isinstance(value, float) and _is_duration(field):
            plain[field.alias or name] = go_duration(value)
        elif isinstance(value, int):
            plain[field.alias or name] = value  # a size would be written as `1KiB`
    return plain


def _is_duration(field: FieldInfo) -> bool:
    def read_by(metadata: Any) -> bool:
        return isinstance(metadata, BeforeValidator) and metadata.func is parse_duration

    inner = [each for part in get_args(field.annotation) for each in get_args(part)]
    return any(map(read_by, (*field.metadata, *inner)))
