"""Gives sessions their connections to backends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from ...api import Sink
from ...api.rare_warning import RareWarning
from ...metrics.counters import GatewayCounters
from ..backends.backend_pool import PooledBackend
from ..policy.backend_group import BackendGroup
from .backend_search import BackendSearch
from .dial import Dialled, DialSettings, DialTerms
from .dial_limiter import DialLimiters
from .lookout import Lookout

SinkT = TypeVar("SinkT", bound=Sink)


class Dialler:
    """Searches a backend for each session, with the same settings for all.

    Args:
        group: the backends.
        limiters: shared by all diallers of these backends.
        retry_statuses: declining statuses that count as unavailable during a failover.
        counters: the gateway's counters.
        logger: logs failed dials.
        scout_interval: seconds between two dials of a backend that is away; see Lookout.
    """

    def __init__(
        self,
        group: BackendGroup,
        limiters: DialLimiters,
        retry_statuses: tuple[int, ...],
        counters: GatewayCounters,
        logger: logging.Logger,
        scout_interval: float = 0.1,
    ) -> None:
        self._group = group
        self._lookout = Lookout(group, scout_interval)
        self._settings = DialSettings(
            limiters,
            frozenset(retry_statuses),
            counters,
            logger,
            RareWarning(logger),
            self._lookout.apart,
        )

    @property
    def group(self) -> str:
        """The name of the backends' group."""
        return self._group.name

    def has_another(self, backend: PooledBackend) -> bool:
        """Returns whether the group has another usable backend."""
        return self._group.has_another(without=(backend,))

    async def until_worth_while(self, seconds: float) -> bool:
        """Waits while all backends are away; see Lookout.wait."""
        return await self._lookout.wait(seconds)

    async def dial(
        self, terms: DialTerms[SinkT], fit: Callable[[PooledBackend], bool] | None = None
    ) -> Dialled[SinkT]:
        """Returns a connection to a backend of the group; see BackendSearch and Dial.

        Args:
            terms: the terms of all dials.
            fit: returns whether a backend may be dialled; None: all may.

        Raises:
            NoBackend: all dials have failed.
            BackendDeclined: a backend has declined; wsgw tries no other.
        """
        group = self._group if fit is None else self._group.limited_to(fit)
        return await BackendSearch(group, terms, self._settings).run()
