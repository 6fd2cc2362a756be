"""Probes each configured backend without starting a gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from ...api import (
    Backend,
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
from ...plugins.factories import make_plugin
from ...plugins.plugin_specs import BackendSpec, PluginSpecs
from ..backends.backend_logger import BackendLogger
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


def probe_backends(config: GatewayConfig, specs: PluginSpecs) -> dict[str, str]:
    """Opens, probes and closes all backends in parallel.

    `failover.dial-timeout` limits each of the three steps.

    Returns:
        Why each backend cannot be reached, by its id; an empty text if it can.
    """
    return asyncio.run(_probe_all(config, specs))


async def _probe_all(config: GatewayConfig, specs: PluginSpecs) -> dict[str, str]:
    backends: list[BackendSpec] = []
    answers: dict[str, str] = {}
    bound = max(failover.dial_timeout for failover in config.groups.values())
    resolver = SystemResolver(GatewayCounters(Metrics()), _log, timeout=bound, hold=0)
    for spec in specs.all_backends:
        if not spec.entry.discovered:
            backends.append(spec)
            continue
        try:
            async with asyncio.timeout(config.groups[spec.group].dial_timeout):
                addresses = await resolver.look_up(spec.entry.name_to_resolve[0] or "")
        except (BackendUnavailable, TimeoutError) as error:
            answers[spec.id] = str(error) or "name lookup timed out"
        else:
            backends += map(spec.at_address, addresses)
    reasons = await asyncio.gather(*(_probe(config, one, resolver) for one in backends))
    await resolver.close()
    ids = [spec.id for spec in backends]
    return answers | dict(zip(ids, reasons, strict=True))


async def _probe(config: GatewayConfig, spec: BackendSpec, resolver: SystemResolver) -> str:
    failover = config.groups[spec.group]
    bound = failover.dial_timeout
    context = BackendContext(
        backend_id=spec.id,
        clock=asyncio.get_running_loop(),
        limits=config.limits.for_plugins(),
        ping_timeout=failover.ping_timeout,
        busy_timeout=failover.busy_bound,
        logger=BackendLogger(_log, spec.id),
        metrics=Metrics(),
        read_batch=ReadBatch(),
        resolver=resolver,
        control=WholeBackend(_NoSessions()),
    )
    reason = ""
    try:
        backend: Backend = make_plugin(spec, context)
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
