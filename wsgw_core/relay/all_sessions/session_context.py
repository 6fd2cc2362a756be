"""What all sessions of one route share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal

from ...api import Clock, ReadBatch, SessionListener, Valve
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
        valve: makes what sees the messages of a session.
        on_error: what happens when it fails.
    """

    kind: str
    valve: Valve
    on_error: Literal["close", "discard"] = "close"


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Made once for each configuration, and given to each session for its whole life.

    Attributes:
        clock: time and timers.
        route: the id of the route; empty where the gateway has none.
        failover, limits, drain: of the configuration, the first one with what the route changes.
        reconnect_header: what tells a backend that it is not the session's first.
        dialler: gives connections to the route's backends.
        valves: of each session, in the order of configuration.
        listeners: told of each session's life, by the reporter.
        plugins: of the configuration; they are not closed while a session has them.
        table: all sessions of the gateway.
        poison_lock: keeps suspicious messages apart.
        read_batch: gathers what a replay writes.
        counters, logger: of the gateway.
    """

    clock: Clock
    route: str
    failover: FailoverOptions
    limits: LimitOptions
    drain: DrainOptions
    reconnect_header: str
    dialler: Dialler
    valves: tuple[ConfiguredValve, ...]
    listeners: tuple[SessionListener, ...]
    plugins: PluginSet
    table: SessionTable
    read_batch: ReadBatch
    poison_lock: PoisonLock
    counters: GatewayCounters
    logger: logging.Logger
    reporter: SessionReporter = field(init=False)

    def __post_init__(self) -> None:
        reporter = SessionReporter(self.listeners, self.table.events, self.counters, self.logger)
        object.__setattr__(self, "reporter", reporter)
