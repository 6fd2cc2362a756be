"""What operators steer: the backends, sessions and frontends of one gateway, by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .api import ConfigurationError
from .components import BackendComponent
from .pool.backend_pool import PooledBackend
from .pool.deletions import Deletions
from .pool.discovery import Discoveries
from .pool.open_backends import OpenBackends
from .relay.drain import Drains
from .relay.routes import Routes
from .relay.session import Session
from .relay.session_opener import SessionOpener
from .relay.session_table import SessionTable

_GOING_AWAY = 1001
_AT_ONCE = 100  # sessions that are moved in one turn of the loop


class NotSupported(Exception):
    """This gateway, as it is configured, cannot do that."""


@dataclass(frozen=True, slots=True)
class SteeredFrontend:
    """Where clients come in.

    Attributes:
        id: for operators.
        opener: what it asks for sessions.
    """

    id: str
    opener: SessionOpener

    @property
    def paused(self) -> bool:
        """Whether new clients are sent away with 503."""
        return self.opener.paused

    def pause(self) -> None:
        """Send new clients away; sessions stay."""
        self.opener.paused = True

    def resume(self) -> None:
        """Let new clients in again."""
        self.opener.paused = False


class Steering:
    """All that the admin API knows of a gateway. To be used on the gateway's loop.

    Args:
        backends: opened.
        discoveries: find more of them by names.
        open_backend: opens one and offers it, or begins to look for those of a name; raises
            ConfigurationError.
        resolve: checks a backend's entry as a file would hold it, and finds its kind; raises
            ConfigurationError. None: backends cannot be added.
        sessions: all sessions.
        frontends: where clients come in.
        drains: empties backends.
        deletions: told of what is deleted, so that no reload brings it back.
        routes: returns those of the configuration.
        stopping: tells whether the gateway is about to end.
    """

    def __init__(  # noqa: PLR0913 - all that there is to steer
        self,
        backends: OpenBackends,
        discoveries: Discoveries,
        open_backend: Callable[[BackendComponent], Awaitable[None]],
        resolve: Callable[[Any], Awaitable[BackendComponent]] | None,
        sessions: SessionTable,
        frontends: Iterable[SteeredFrontend],
        drains: Drains,
        *,
        deletions: Deletions,
        routes: Callable[[], Routes],
        stopping: Callable[[], bool],
    ) -> None:
        self._backends = backends
        self._discoveries = discoveries
        self._deletions = deletions
        self._open_backend = open_backend
        self._resolve = resolve
        self.sessions = sessions
        self.frontends: Mapping[str, SteeredFrontend] = {each.id: each for each in frontends}
        self._drains = drains
        self._routes = routes
        self._stopping = stopping

    @property
    def backends(self) -> tuple[PooledBackend, ...]:
        """All backends."""
        return self._backends.pool.backends

    def find_backend(self, backend_id: str) -> PooledBackend | None:
        """Return the backend of an id."""
        return self._backends.pool.find(backend_id)

    def component_of(self, backend: PooledBackend) -> BackendComponent:
        """Return what a backend was made of."""
        return self._backends.component_of(backend)

    def find_component(self, backend_id: str) -> BackendComponent | None:
        """Return what a backend was made of, or those of a name are made of."""
        backend = self.find_backend(backend_id)
        if backend is not None:
            return self.component_of(backend)
        discovery = self._discoveries.find(backend_id)
        return discovery.component if discovery is not None else None

    async def add_backend(self, entry: Any, group: str = "") -> None:
        """Open a backend and offer it to sessions, or begin to look for the backends of a name.

        Args:
            entry: as the configuration's `upstream.backends` has it.
            group: the id of a route that has backends of its own; empty: for all other routes.

        Raises:
            ConfigurationError: the entry cannot be used, its id or URL exists already, or nobody
                would use it.
            NotSupported: this gateway was made without plugins to choose from.
        """
        if self._resolve is None:
            raise NotSupported
        if self._stopping():
            raise ConfigurationError("the gateway is stopping")
        component = replace(await self._resolve(entry), group=group)
        self._check_group(group)
        present = [self.component_of(each) for each in self.backends]
        present += [discovery.component for discovery in self._discoveries]
        urls = {each.entry.url for each in present if each.group == group and each.entry.url}
        if component.entry.url in urls:
            raise ConfigurationError("url already exists")
        if component.id in {each.id for each in present}:
            raise ConfigurationError("id already exists")
        await self._open_backend(component)

    def remove_backend(self, backend_id: str) -> bool:
        """Offer a backend no more, and have its sessions move to others.

        The id of an entry with a name stands for all of its backends, and ends the search for more.
        Where failover is switched off, the sessions end instead: clients see 1001. A reload brings
        nothing back of what was removed so; see Deletions, and Discovery for a single address.

        Returns:
            False when there is nothing of this id.
        """
        backend = self.find_backend(backend_id)
        if backend is not None:
            self._deletions.add(backend_id)
            self._remove(backend)
            return True
        discovery = self._discoveries.find(backend_id)
        if discovery is None:
            return False
        self._deletions.add(backend_id)
        self._discoveries.remove(discovery)
        for backend in discovery.backends:
            self._remove(backend)
        return True

    def _remove(self, backend: PooledBackend) -> None:
        leaving = self._sessions_of(backend)
        self._backends.remove(backend, _leave(leaving, backend.id))

    async def fail_over(self, backend: PooledBackend) -> int:
        """Move those sessions of a backend that may; return how many there were.

        Raises:
            NotSupported: failover is switched off for whatever route has this backend.
        """
        self._check_failover(backend)
        leaving = [session for session in self._sessions_of(backend) if session.may_fail_over]
        await _leave(leaving, backend.id)
        return len(leaving)

    def drain(self, backend: PooledBackend) -> bool:
        """Empty a backend without haste; False: that is under way already.

        Raises:
            NotSupported: failover is switched off for whatever route has this backend.
        """
        self._check_failover(backend)
        return self._drains.begin(backend)

    def enable(self, backend: PooledBackend) -> None:
        """Give a backend new sessions again; what there is of a drain ends."""
        self._drains.call_off(backend)

    def fail_over_session(self, session: Session) -> bool:
        """Move one session; tell whether it leaves a backend.

        Raises:
            NotSupported: failover is switched off for its route.
        """
        if not session.may_fail_over:
            raise NotSupported
        before = session.backend_id
        session.fail_over()
        return before is not None and session.backend_id is None

    def why_not_ready(self) -> list[str]:
        """Say why clients should not be sent here; nothing when they should.

        That a backend has tripped, or is down, is no reason: only the next client's dial finds out
        whether it is back.
        """
        reasons = []
        now = asyncio.get_running_loop().time()
        if self._stopping():
            reasons.append("the gateway is stopping")
        if all(frontend.paused for frontend in self.frontends.values()):
            reasons.append("every frontend is paused")
        if not any(backend.is_for_newcomers(now) for backend in self.backends):
            reasons.append("no backend is enabled, healthy and not asking for a rest")
        return reasons

    def unserved_routes(self) -> list[str]:
        """Return the ids of the routes none of whose backends is usable.

        The gateway can be ready all the same: other routes are served.
        """
        pool = self._backends.pool
        return [
            route.id for route in self._routes() if route.id and not pool.is_usable(route.group)
        ]

    def _check_group(self, group: str) -> None:
        groups = {route.group for route in self._routes()}
        if group in groups:
            return
        own = ", ".join(sorted(groups - {""}))
        if not group:
            raise ConfigurationError(f"each route has backends of its own: give a route of {own}")
        raise ConfigurationError(
            f"no route {group!r} has backends of its own" + (f"; these have: {own}" if own else "")
        )

    def _check_failover(self, backend: PooledBackend) -> None:
        if not self._routes().may_fail_over(backend.group):
            raise NotSupported

    def _sessions_of(self, backend: PooledBackend) -> list[Session]:
        """Return its sessions, and those that it has kept from before a reload.

        Not those of a group that it has left: they can go nowhere, or are on their way.
        """
        ours = backend.id, backend.group
        return [each for each in self.sessions if (each.backend_id, each.group) == ours]


async def _leave(sessions: list[Session], backend_id: str) -> None:
    """Have sessions leave a backend, some in each turn of the loop; those that may not, end."""
    for number, session in enumerate(sessions, 1):
        if session.backend_id == backend_id:  # not lost or ended meanwhile
            if session.may_fail_over:
                session.fail_over()
            else:
                session.close(_GOING_AWAY, "backend was removed")
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
