"""Converts live objects to plain data for operators, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from ..api.options import parse_duration
from ..control.status import BackendSettings, BackendStatus, PluginStatus, SessionStatus
from ..masking import masked, masked_target
from ..one_line import shortened
from ..plugins.loader import Plugins
from ..plugins.plugin_specs import BackendSpec
from ..pool.backends.backend_pool import PooledBackend
from ..relay.session.session import Session


def backend_status(backend: PooledBackend, spec: BackendSpec, *, connections: int) -> BackendStatus:
    """Returns the status of a backend; `connections` includes those it kept over a reload."""
    return BackendStatus(
        id=backend.id,
        kind=spec.registration.kind,
        url=masked(spec.entry.url or "", "url"),
        group=backend.group,
        discovered_by=spec.discovered_by,
        priority=backend.priority,
        weight=backend.weight,
        enabled=backend.enabled,
        healthy=backend.healthy,
        tripped=backend.breaker.tripped,
        away=backend.absence.is_away,
        down=backend.outage.reason,
        connections=connections,
        connections_opened=backend.total,
        failures=backend.failures,
    )


def backend_settings(spec: BackendSpec) -> BackendSettings:
    """Returns the configuration of a backend, including the options of its kind."""
    entry = spec.entry
    return BackendSettings(
        id=spec.id,
        kind=spec.registration.kind,
        url=masked(entry.url or "", "url"),
        group=spec.group,
        priority=entry.priority,
        weight=entry.weight,
        breaker_threshold=entry.breaker_threshold,
        options=masked(_plain(spec.options)),
        durations=tuple(_durations(spec.options)),
    )


def session_status(session: Session) -> SessionStatus:
    """Returns the status of a session."""
    return SessionStatus(
        id=session.id,
        client=session.peer,
        target=shortened(masked_target(session.path)),
        route=session.route,
        backend=session.backend_id or "",
        state=session.state.value,
        hydrating=session.is_hydrating,
        reconnects=session.reconnects,
        messages_received=session.messages_received,
        messages_sent=session.messages_sent,
    )


def plugin_statuses(plugins: Plugins) -> list[PluginStatus]:
    """Returns the kinds that plugins have registered."""
    registries = (
        plugins.backends,
        plugins.valves,
        plugins.listeners,
        plugins.gates,
        plugins.policies,
    )
    return [
        PluginStatus(each.role, each.kind, each.schemes)
        for registry in registries
        for each in registry
    ]


def _plain(model: BaseModel) -> dict[str, Any]:
    """Returns the options of a model, with durations in seconds and sizes in bytes."""
    plain = model.model_dump(mode="json", by_alias=True)
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            plain[field.alias or name] = _plain(value)
        elif isinstance(value, int) or (isinstance(value, float) and _is_duration(field)):
            plain[field.alias or name] = value  # would be written as `1KiB` or `10m`
    return plain


def _durations(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in type(model).model_fields.items():
        value, here = getattr(model, name), (*path, field.alias or name)
        if isinstance(value, BaseModel):
            yield from _durations(value, here)
        elif isinstance(value, float) and _is_duration(field):
            yield here


def _is_duration(field: FieldInfo) -> bool:
    def read_by(metadata: Any) -> bool:
        return isinstance(metadata, BeforeValidator) and metadata.func is parse_duration

    inner = [each for part in get_args(field.annotation) for each in get_args(part)]
    return any(map(read_by, (*field.metadata, *inner)))
