"""Makes the settings of the frontend from a configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..api import Clock, ReadBatch, Turns
from ..api.rare_warning import RareWarning
from ..config.gateway_config import GatewayConfig
from ..file_limit import session_capacity
from ..frontend.admission import Admission
from ..frontend.client_timeouts import ClientTimeouts
from ..frontend.forwarded import Forwarding
from ..frontend.handshake import HandshakeSettings
from ..frontend.request_headers import RequestHeaders
from ..frontend.trusted_proxies import TrustedProxies
from ..metrics.counters import GatewayCounters
from ..relay.session.session_opener import SessionOpener


def handshake_settings(
    config: GatewayConfig,
    opener: SessionOpener,
    admission: Admission,
    read_batch: ReadBatch,
    turns: Turns,
    counters: GatewayCounters,
    logger: logging.Logger,
) -> HandshakeSettings:
    """Returns the settings of handshakes.

    Args:
        config: the configuration.
        opener: opens sessions.
        admission: limits the number of clients.
        read_batch: the gateway's ReadBatch.
        turns: the gateway's Turns for handshakes.
        counters: the gateway's counters.
        logger: the gateway's logger.
    """
    server, limits = config.server, config.limits
    proxies = TrustedProxies(server.trusted_proxies or ())
    tls = server.frontend.tls
    return HandshakeSettings(
        opener=opener,
        admission=admission,
        origins=server.frontend.allowed_origins,
        proxies=proxies,
        request_headers=RequestHeaders(
            server.block_headers,
            server.reconnect_header,
            Forwarding(
                proxies,
                believe_all=server.trusted_proxies is None and server.trust_received_xff,
                forwarded=server.forwarded,
            ),
            tls.subject_header if tls else None,
        ),
        limits=limits.for_plugins(),
        compression=server.frontend.compression,
        max_header_bytes=server.frontend.max_header_bytes or limits.max_header_bytes,
        max_header_count=limits.max_header_count,
        timeout=server.frontend.read_timeout or limits.handshake_timeout,
        read_batch=read_batch,
        turns=turns,
        counters=counters,
        logger=logger,
        polling=RareWarning(logger),
        end_to_end=server.frontend.keepalive == "end-to-end",
    )


def make_admission(
    config: GatewayConfig,
    counters: GatewayCounters,
    clock: Clock,
    logger: logging.Logger,
    memory_is_full: Callable[[], bool],
) -> Admission:
    """Returns the limits on the number of clients.

    Args:
        config: the configuration.
        counters: the gateway's counters.
        clock: the clock for the rate limit.
        logger: logs a warning if the limit of open files is too low for `limits.max-sessions`.
        memory_is_full: see Admission.
    """
    limits, capacity = config.limits, session_capacity()
    if limits.max_sessions and capacity is not None and limits.max_sessions > capacity:
        logger.warning(
            "limits.max-sessions is %d, but the open-file limit allows %d sessions with a backend"
            " connection each; raise that limit or lower limits.max-sessions",
            limits.max_sessions,
            capacity,
        )
    return Admission(
        TrustedProxies(config.server.trusted_proxies or ()),
        counters,
        clock,
        max_sessions=limits.max_sessions or capacity,
        max_per_address=limits.max_sessions_per_address,
        max_per_second=limits.max_handshakes_per_second,
        memory_is_full=memory_is_full,
    )


def make_client_timeouts(
    config: GatewayConfig, counters: GatewayCounters, clock: Clock
) -> ClientTimeouts:
    """Returns the timeouts for silent, slow and old clients."""
    limits, frontend = config.limits, config.server.frontend
    return ClientTimeouts(
        clock,
        counters,
        idle_timeout=limits.client_idle_timeout,
        max_life=limits.max_session_life,
        slow_timeout=limits.slow_client_timeout or None,
        ping_time=frontend.ping_time or None,
        ping_timeout=frontend.ping_timeout,
    )
