"""What all sessions of one route share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from ...api import Clock, ReadBatch, Valve
from ...config.drain_options import DrainOptions
from ...config.failover_options import FailoverOptions
from ...config.limit_options import LimitOptions
from ...metrics.counters import GatewayCounters
from ...plugins.open_plugins import PluginSet
from ...pool.dialling.dialler import Dialler
from ..delivery.poison import PoisonLock
from .session_reporter import SessionReporter
from .session_table import SessionTable


@dataclass(frozen=True, slots=True)
class ConfiguredValve:
    """One valve of the chain.

    Attributes:
        kind: for the log.
        valve: makes the valve of each session.
        on_error: what a fault of the valve ends: the session, or only the message.
    """

    kind: str
    valve: Valve
    on_error: Literal["close", "discard"] = "close"


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What all sessions of one route and one configuration share for their whole life.

    Attributes:
        clock: time and timers.
        route: the id of the route; empty if no routes are configured.
        failover: the options, with those that the route changes.
        limits, drain: the options of the configuration.
        reconnect_header: name of the header that says a backend is not the session's first.
        dialler: dials the route's backends.
        valves: the valves of each session, in the order of configuration.
        plugins: the plugins' objects; they stay open while a session uses them.
        table: all sessions of the gateway.
        poison_lock: keeps suspicious messages apart.
        read_batch: gathers the writes of a replay.
        counters, logger: the gateway's.
        reporter: reports the events of these sessions.
    """

    clock: Clock
    route: str
    failover: FailoverOptions
    limits: LimitOptions
    drain: DrainOptions
    reconnect_header: str
    dialler: Dialler
    valves: tuple[ConfiguredValve, ...]
    plugins: PluginSet
    table: SessionTable
    read_batch: ReadBatch
    poison_lock: PoisonLock
    counters: GatewayCounters
    logger: logging.Logger
    reporter: SessionReporter
