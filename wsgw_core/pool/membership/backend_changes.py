"""Replaces backends by those of a new configuration, all or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from ...api import BackendContext, ConfigurationError
from ...plugins.plugin_specs import BackendSpec
from ..backends.backend_pool import PooledBackend
from .deletions import Deletions
from .discovery import Discoveries, Discovery
from .open_backends import OpenBackends


class BackendChanges:
    """One change: call `prepare`, and then `carry_out` or `discard`.

    Args:
        backends: opens and closes the backends.
        discoveries: look up the names.
        deletions: the entries that operators have deleted; they are not offered.
        new: the entries to offer.
        gone: the entries to stop offering; a new one with the same id and group replaces one.
    """

    def __init__(
        self,
        backends: OpenBackends,
        discoveries: Discoveries,
        deletions: Deletions,
        new: Sequence[BackendSpec],
        gone: Sequence[BackendSpec],
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
        make_context: Callable[[BackendSpec], BackendContext],
        make_discovery: Callable[[BackendSpec], Discovery],
    ) -> None:
        """Opens the new backends, for a name one at each address. Does not offer them yet.

        Args:
            make_context: returns the context for a backend's factory.
            make_discovery: returns the discovery for an entry with a name.

        Raises:
            ConfigurationError: a backend cannot work; all others are closed.
        """
        try:
            names = [each for each in self._new if each.entry.discovered]
            self._named = list(map(make_discovery, names))
            for spec in self._new:
                if not spec.entry.discovered:
                    context = make_context(spec)
                    self._prepared.append(await self._backends.prepare(spec, context))
            await self._prepare_named(make_context)
            self._check_ids()
        except BaseException:
            self.discard()
            raise

    async def _prepare_named(self, make_context: Callable[[BackendSpec], BackendContext]) -> None:
        """Looks up the names in parallel; each may take `upstream.resolve-interval`."""
        outcomes = await asyncio.gather(
            *(
                discovery.prepare(make_context, self._known_addresses(discovery.spec))
                for discovery in self._named
            ),
            return_exceptions=True,  # all must have ended before `discard`
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    def carry_out(
        self, drain: Callable[[PooledBackend], object], groups: Collection[str] | None = None
    ) -> None:
        """Offers the new backends instead of those that are gone. Call it right after `prepare`.

        Args:
            drain: drains a backend that nothing replaces.
            groups: the names of the groups from now on; None: the same as before.
        """
        prepared = [*self._prepared, *(each for one in self._named for each in one.prepared)]
        replaced = {(pooled.id, pooled.group) for pooled in prepared}
        leaving = self._discoveries.leaving
        disabled = {  # by operators; a reload changes nothing about that
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
            if self._deletions.has(self._backends.spec_of(pooled)):
                self._backends.discard(pooled)
            else:
                pooled.enabled = pooled.id not in disabled
                self._backends.offer(pooled)
        for discovery in self._named:
            if self._deletions.has(discovery.spec):
                discovery.discard()
            else:
                discovery.join(disabled, deleted)
                self._discoveries.add(discovery)

    def discard(self) -> None:
        """Closes the prepared backends."""
        for pooled in self._prepared:
            self._backends.discard(pooled)
        for discovery in self._named:
            discovery.discard()

    def _change_groups(
        self, groups: Collection[str], drain: Callable[[PooledBackend], object]
    ) -> None:
        """Removes groups that are gone, including the backends that operators have added to them.

        Their sessions cannot move and keep their backends, until a group of this name is back with
        other backends.
        """
        for pooled in self._pool.staying:
            if pooled.group in groups:
                pooled.removed = True
                drain(pooled)
        for discovery in self._discoveries:
            if discovery.spec.group not in groups:
                self._discoveries.remove(discovery)
        for pooled in self._pool.backends:
            if pooled.group not in groups:
                self._backends.keep_for_sessions(pooled)

    def _check_ids(self) -> None:
        """Checks that no other backend, added by an operator or a discovery, has a new entry's id.

        A discovery checks the ids of its addresses when it joins.
        """
        gone = {pooled.id for pooled in self._gone_backends()}
        taken = {pooled.id for pooled in self._pool.backends} - gone
        gone_names = {discovery.id for discovery in self._gone_discoveries()}
        taken |= {discovery.id for discovery in self._discoveries} - gone_names
        for spec in self._new:
            if spec.id in taken:
                raise ConfigurationError(f"there is a backend {spec.id!r} already")

    def _known_addresses(self, spec: BackendSpec) -> list[str]:
        """Returns the known addresses of an entry's name, from the discoveries that are gone."""
        host, _ = spec.entry.name_to_resolve
        return [
            address
            for discovery in self._gone_discoveries()
            if discovery.spec.entry.name_to_resolve[0] == host
            for address in discovery.addresses
        ]

    def _gone_backends(self) -> list[PooledBackend]:
        """Returns the backends to remove, except for those that an operator has removed."""
        plain = [self._pool.find(each.id) for each in self._gone if not each.entry.discovered]
        found = [pooled for discovery in self._gone_discoveries() for pooled in discovery.backends]
        return [*(pooled for pooled in plain if pooled is not None), *found]

    def _gone_discoveries(self) -> list[Discovery]:
        """Returns the discoveries to end, except for those that an operator has ended."""
        found = [self._discoveries.find(each.id) for each in self._gone if each.entry.discovered]
        return [discovery for discovery in found if discovery is not None]
