"""Registers the backend kind `amqp`."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, PlayedBackend, hookimpl

from .backend import AmqpBackend
from .settings import AmqpSettings

WSGW_API = "1.0"


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Register the kind and its URL schemes."""
    registry.add(
        "amqp",
        AmqpSettings,
        AmqpBackend,
        schemes=("amqps",),
        played=PlayedBackend(
            "wsgw_amqp.played",
            "amqp://guest:guest@{address}",
            ways=(
                "away",
                "blackhole",
                "reset",
                "client-slow",
                "client-vanishes",
                "client-floods",
                "client-closes",
            ),
            keys={
                "queue": "drill",
                "events": "connect,message,disconnect",
                "replies-durable": "true",
                "heartbeat": "2s",
            },
            backends=1,
        ),
    )
