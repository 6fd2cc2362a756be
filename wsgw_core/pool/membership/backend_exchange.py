"""Puts the backends of a new configuration in the place of others, all or none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from ...api import BackendContext, ConfigurationError
from ...plugins.components import BackendComponent
from ..backends.backend_pool import PooledBackend
from .deletions import Deletions
from .discovery import Discoveries, Discovery
from .open_backends import OpenBackends


class BackendExchange:
    """One exchange: prepared first, and then carried out or discarded.

    Args:
        backends: opens and closes them.
        discoveries: looks names up.
        deletions: by operators; nothing of them is offered.
        new: to be offered.
        gone: to be offered no more; those with id and group of a new one are replaced by it.
    """

    def __init__(
        self,
        backends: OpenBackends,
        discoveries: Discoveries,
        deletions: Deletions,
        new: Sequence[BackendComponent],
        gone: Sequence[BackendComponent],
    ) -> None:
        self._pool = backends.pool
        self._backends = backends
        self._discoveries = discoveries
        self._deletions = deletions
        self._new = new
        self._gone = gone
        self._prepared: list[PooledBackend] = []
        self._named: list[Discovery] = []

    async def prepare(
        self,
        make_context: Callable[[BackendComponent], BackendContext],
        make_discovery: Callable[[BackendComponent], Discovery],
    ) -> None:
        """Opens the new ones, those of names at all their addresses; nothing is offered yet.

        Args:
            make_context: makes what a backend's factory is given.
            make_discovery: for an entry that has a name.

        Raises:
            ConfigurationError: one cannot work; nothing is left of the others.
        """
        try:
            names = [each for each in self._new if each.entry.discovered]
            self._named = list(map(make_discovery, names))
            for component in self._new:
                if not component.entry.discovered:
                    context = make_context(component)
                    self._prepared.append(await self._backends.prepare(component, context))
            await self._prepare_named(make_context)
            self._check_ids()
        except BaseException:
            self.discard()
            raise

    async def _prepare_named(
        self, make_context: Callable[[BackendComponent], BackendContext]
    ) -> None:
        """Looks the names up side by side: each may take as long as `upstream.resolve-interval`."""
        outcomes = await asyncio.gather(
            *(
                discovery.prepare(make_context, self._known_addresses(discovery.component))
                for discovery in self._named
            ),
            return_exceptions=True,  # so that all are over when there is something to discard
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    def carry_out(
        self, drain: Callable[[PooledBackend], object], groups: Collection[str] | None = None
    ) -> None:
        """Offers the new ones instead of those that are gone; to be called right after `prepare`.

        Args:
            drain: has the sessions of a backend that nothing replaces move to others.
            groups: the names of those that there are from now on; None: the same as before.
        """
        prepared = [*self._prepared, *(each for one in self._named for each in one.prepared)]
        replaced = {(pooled.id, pooled.group) for pooled in prepared}
        leaving = self._discoveries.leaving
        disabled = {  # by operators, and what they want goes on
            pooled.id
            for pooled in self._pool.backends
            if not pooled.enabled and pooled not in leaving
        }
        deleted = {
            backend_id for discovery in self._gone_discoveries() for backend_id in discovery.deleted
        }
        if groups is not None:
            self._change_groups(groups, drain)
        for pooled in self._gone_backends():
            self._backends.retire(pooled)
            if (pooled.id, pooled.group) not in replaced:
                drain(pooled)
        for discovery in self._gone_discoveries():
            self._discoveries.remove(discovery)
        for pooled in self._prepared:
            if self._deletions.hold(self._backends.component_of(pooled)):
                self._backends.discard(pooled)
            else:
                pooled.enabled = pooled.id not in disabled
                self._backends.offer(pooled)
        for discovery in self._named:
            if self._deletions.hold(discovery.component):
                discovery.discard()
            else:
                discovery.join(disabled, deleted)
                self._discoveries.add(discovery)

    def discard(self) -> None:
        """Closes what was prepared."""
        for pooled in self._prepared:
            self._backends.discard(pooled)
        for discovery in self._named:
            discovery.discard()

    def _change_groups(
        self, groups: Collection[str], drain: Callable[[PooledBackend], object]
    ) -> None:
        """Takes out groups that are gone, with what operators have added to them.

        Their sessions cannot move, and keep their backends; until the group is back, which has
        others for them.
        """
        for pooled in self._pool.staying:
            if pooled.group in groups:
                pooled.removed = True
                drain(pooled)
        for discovery in self._discoveries:
            if discovery.component.group not in groups:
                self._discoveries.remove(discovery)
        for pooled in self._pool.backends:
            if pooled.group not in groups:
                self._backends.keep_for_sessions(pooled)

    def _check_ids(self) -> None:
        """See whether others have ids of new entries: operators add, and discoveries find some.

        A discovery that joins sees for itself which of its addresses it can use.
        """
        gone = {pooled.id for pooled in self._gone_backends()}
        taken = {pooled.id for pooled in self._pool.backends} - gone
        gone_names = {discovery.id for discovery in self._gone_discoveries()}
        taken |= {discovery.id for discovery in self._discoveries} - gone_names
        for component in self._new:
            if component.id in taken:
                raise ConfigurationError(f"there is a backend {component.id!r} already")

    def _known_addresses(self, component: BackendComponent) -> list[str]:
        """Returns the addresses that the name of an entry has in those that it replaces."""
        host, _ = component.entry.name_to_resolve
        return [
            address
            for discovery in self._gone_discoveries()
            if discovery.component.entry.name_to_resolve[0] == host
            for address in discovery.addresses
        ]

    def _gone_backends(self) -> list[PooledBackend]:
        """Returns those that are to go; an operator may have removed some before."""
        plain = [self._pool.find(each.id) for each in self._gone if not each.entry.discovered]
        found = [pooled for discovery in self._gone_discoveries() for pooled in discovery.backends]
        return [*(pooled for pooled in plain if pooled is not None), *found]

    def _gone_discoveries(self) -> list[Discovery]:
        """Returns those that are to end; an operator may have ended some before."""
        found = [self._discoveries.find(each.id) for each in self._gone if each.entry.discovered]
        return [discovery for discovery in found if discovery is not None]
