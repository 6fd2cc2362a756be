"""Probes each configured backend without starting a gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from ...api import (
    BackendContext,
    BackendUnavailable,
    ConfigurationError,
    Message,
    Metrics,
    ReadBatch,
    ReplyOutcome,
)
from ...config.gateway_config import GatewayConfig
from ...masking import masked_text
from ...metrics.counters import GatewayCounters
from ...plugins.components import BackendComponent, Components
from ...plugins.factories import make_backend
from ..backends.whole_backend import ServedSession, WholeBackend
from .system_resolver import SystemResolver

_log = logging.getLogger("wsgw")


class _NoSessions:
    """The sessions of a gateway that has none."""

    def __iter__(self) -> Iterator[ServedSession]:
        return iter(())

    def deliver(self, _session_id: str, _message: Message) -> ReplyOutcome:
        """See Sessions."""
        return ReplyOutcome.UNKNOWN_SESSION


def probe_backends(config: GatewayConfig, components: Components) -> dict[str, str]:
    """Opens, probes and closes all backends in parallel.

    `failover.dial-timeout` limits each of the three steps.

    Returns:
        Why each backend cannot be reached, by its id; an empty text if it can.
    """
    return asyncio.run(_probe_all(config, components))


async def _probe_all(config: GatewayConfig, components: Components) -> dict[str, str]:
    backends: list[BackendComponent] = []
    answers: dict[str, str] = {}
    bound = max(failover.dial_timeout for failover in config.groups.values())
    resolver = SystemResolver(GatewayCounters(Metrics()), _log, timeout=bound, hold=0)
    for component in components.all_backends:
        if not component.entry.discovered:
            backends.append(component)
            continue
        try:
            async with asyncio.timeout(config.groups[component.group].dial_timeout):
                addresses = await resolver.look_up(component.entry.name_to_resolve[0] or "")
        except (BackendUnavailable, TimeoutError) as error:
            answers[component.id] = str(error) or "name lookup timed out"
        else:
            backends += map(component.at_address, addresses)
    reasons = await asyncio.gather(*(_probe(config, one, resolver) for one in backends))
    await resolver.close()
    ids = [component.id for component in backends]
    return answers | dict(zip(ids, reasons, strict=True))


async def _probe(
    config: GatewayConfig, component: BackendComponent, resolver: SystemResolver
) -> str:
    failover = config.groups[component.group]
    bound = failover.dial_timeout
    context = BackendContext(
        backend_id=component.id,
        clock=asyncio.get_running_loop(),
        limits=config.limits.for_plugins(),
        ping_timeout=failover.ping_timeout,
        busy_timeout=failover.busy_bound,
        logger=_log.getChild(component.id),
        metrics=Metrics(),
        read_batch=ReadBatch(),
        resolver=resolver,
        control=WholeBackend(_NoSessions()),
    )
    reason = ""
    try:
        backend = make_backend(component, context)
        try:
            async with asyncio.timeout(bound):
                await backend.open()
            async with asyncio.timeout(bound):
                await backend.probe()
        finally:
            async with asyncio.timeout(bound):
                await backend.close()
    except TimeoutError:
        reason = f"no answer within {bound:g} s"
    except BackendUnavailable as unavailable:
        reason = unavailable.reason
    except ConfigurationError as error:
        reason = "; ".join(error.problems)
    except Exception as error:  # noqa: BLE001 - any fault of a plugin
        reason = f"its plugin raised {type(error).__name__}: {error}"
    return masked_text(" ".join(reason.split()))
