"""Registers the valve kind `heartbeat`."""

from __future__ import annotations

from wsgw_core.api import ValveRegistry, hookimpl, per_session

from .settings import HeartbeatSettings
from .valve import HeartbeatValve

WSGW_API = "1.0"


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Registers the valve's kind."""
    registry.add("heartbeat", HeartbeatSettings, per_session(HeartbeatValve))
