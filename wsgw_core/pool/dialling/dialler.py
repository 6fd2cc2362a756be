"""Gives sessions their connections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from ...api import DialRequest, Sink
from ...api.rare_warning import RareWarning
from ...metrics.counters import GatewayCounters
from ..backends.backend_pool import PooledBackend
from ..policy.backend_group import BackendGroup
from .backend_search import BackendSearch
from .dial import Dialled, DialSettings, Wish
from .dial_limiter import DialLimiters
from .lookout import Lookout

SinkT = TypeVar("SinkT", bound=Sink)


def _nobody_listens(_backend: PooledBackend) -> None:
    pass


class Dialler:
    """Dials for sessions: a search for each, with the same settings for all.

    Args:
        group: the backends.
        limiters: shared by all that dial these backends.
        retry_statuses: declining answers that count as unavailable during a failover.
        counters: of the gateway.
        logger: for failed dials.
        scout_interval: seconds between two looks at a backend that is away; see Lookout.
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
        """The name of the group of the backends."""
        return self._group.name

    def has_another(self, backend: PooledBackend) -> bool:
        """Returns whether the group has another backend that takes part as it should."""
        return self._group.has_another(without=(backend,))

    async def until_worth_while(self, seconds: float) -> bool:
        """Waits while all backends are away; see Lookout.wait."""
        return await self._lookout.wait(seconds)

    async def dial(  # noqa: PLR0913 - what one search must know
        self,
        request: DialRequest,
        make_sink: Callable[[], SinkT],
        *,
        timeout: float,  # noqa: ASYNC109 - of each attempt, not of the call
        deadline: float | None = None,
        can_wait: bool = False,
        last: PooledBackend | None = None,
        hedge_after: float = 0.0,
        accepted: Callable[[PooledBackend], object] = _nobody_listens,
        fit: Callable[[PooledBackend], bool] | None = None,
    ) -> Dialled[SinkT]:
        """Tries the backends that the group offers; see BackendSearch and Dial.

        Args:
            request: what the session wants; when it is a reconnect, the backend must choose the
                one subprotocol that is offered, or none when none is.
            make_sink: called for each attempt.
            timeout: bound of each dial in seconds.
            deadline: the loop's time at which even the last dial must be over.
            can_wait: whether the session comes again if no backend is found now: it leaves the
                dials of those that are away to one scout; see Absence.
            last: the backend to try after all others.
            hedge_after: seconds after which another backend is dialled as well; 0: never.
            accepted: called with each backend that gives a connection, taken or not; perhaps after
                the end of this call.
            fit: tells which backends of the group may be dialled; None: all.

        Raises:
            NoBackend: all failed.
            BackendDeclined: one declined; no other was tried.
        """
        search = BackendSearch(
            self._group if fit is None else self._group.limited_to(fit),
            Wish(request, make_sink, accepted, can_wait, hedge_after),
            self._settings,
            timeout=timeout,
            deadline=deadline,
            last=last,
        )
        return await search.run()
