"""Registers the backend kind `amqp`."""

from __future__ import annotations

from wsgw_core.api import BackendRegistry, PlayedBackend, hookimpl

from .backend import AmqpBackend
from .settings import AmqpSettings

WSGW_API = "1.0"

PLAYED = PlayedBackend(
    "wsgw_amqp.played",
    "amqp://guest:guest@{address}",
    ways=(
        "away",
        "back-from-outage",
        "reset",
        "client-slow",
        "client-vanishes",
        "client-floods",
        "reset-in-close",  # a killed node takes longer to start than the gateway may wait
    ),
    keys={
        "queue": "drill",
        "queue-type": "classic",
        "events": "connect,message,disconnect",
        "replies-durable": "true",
    },
    backends=1,
    settings={"failover.hold": "2m"},  # a node starts slowly on a busy machine
    ahead=500,
)
"""How `wsgw drill --backend amqp` runs a backend."""


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    """Registers the kind and its URL schemes."""
    registry.add(
        "amqp", AmqpSettings, AmqpBackend, schemes=("amqps",), played=PLAYED, connectionless=True
    )
