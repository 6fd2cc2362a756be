"""What operators steer: the backends, sessions and frontends of one gateway, by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .api import ConfigurationError
from .components import BackendComponent
from .pool.backend_pool import PooledBackend
from .pool.discovery import Discoveries
from .pool.open_backends import OpenBackends
from .relay.drain import Drains
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
        failover: whether sessions may move from one backend to another.
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
        failover: bool,
        stopping: Callable[[], bool],
    ) -> None:
        self._backends = backends
        self._discoveries = discoveries
        self._open_backend = open_backend
        self._resolve = resolve
        self.sessions = sessions
        self.frontends: Mapping[str, SteeredFrontend] = {each.id: each for each in frontends}
        self._drains = drains
        self._failover = failover
        self._stopping = stopping

    def allow_failover(self, allowed: bool) -> None:
        """Say anew whether sessions may move from one backend to another."""
        self._failover = allowed

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

    async def add_backend(self, entry: Any) -> None:
        """Open a backend and offer it to sessions, or begin to look for the backends of a name.

        Args:
            entry: as the configuration's `upstream.backends` has it.

        Raises:
            ConfigurationError: the entry cannot be used, or its id or URL exists already.
            NotSupported: this gateway was made without plugins to choose from.
        """
        if self._resolve is None:
            raise NotSupported
        if self._stopping():
            raise ConfigurationError("the gateway is stopping")
        component = await self._resolve(entry)
        present = [self.component_of(each) for each in self.backends]
        present += [discovery.component for discovery in self._discoveries]
        if component.entry.url in {each.entry.url for each in present} - {None}:
            raise ConfigurationError("url already exists")
        if component.id in {each.id for each in present}:
            raise ConfigurationError("id already exists")
        await self._open_backend(component)

    def remove_backend(self, backend_id: str) -> bool:
        """Offer a backend no more, and have its sessions move to others.

        The id of an entry with a name stands for all of its backends, and ends the search for more.
        Where failover is switched off, the sessions end instead: clients see 1001.

        Returns:
            False when there is nothing of this id.
        """
        backend = self.find_backend(backend_id)
        if backend is not None:
            self._remove(backend)
            return True
        discovery = self._discoveries.find(backend_id)
        if discovery is None:
            return False
        self._discoveries.remove(discovery)
        for backend in discovery.backends:
            self._remove(backend)
        return True

    def _remove(self, backend: PooledBackend) -> None:
        leaving = self._sessions_of(backend)
        if self._failover:
            self._backends.remove(backend, _move(leaving, backend.id))
            return
        self._backends.remove(backend)
        for session in leaving:
            session.close(_GOING_AWAY, "backend was removed")

    async def fail_over(self, backend: PooledBackend) -> int:
        """Move the sessions of a backend; return how many there were.

        Raises:
            NotSupported: failover is switched off.
        """
        if not self._failover:
            raise NotSupported
        leaving = self._sessions_of(backend)
        await _move(leaving, backend.id)
        return len(leaving)

    def drain(self, backend: PooledBackend) -> bool:
        """Empty a backend without haste; False: that is under way already.

        Raises:
            NotSupported: failover is switched off.
        """
        if not self._failover:
            raise NotSupported
        return self._drains.begin(backend)

    def fail_over_session(self, session: Session) -> bool:
        """Move one session; tell whether it leaves a backend.

        Raises:
            NotSupported: failover is switched off.
        """
        if not self._failover:
            raise NotSupported
        before = session.backend_id
        session.fail_over()
        return before is not None and session.backend_id is None

    def why_not_ready(self) -> list[str]:
        """Say why clients should not be sent here; nothing when they should."""
        reasons = []
        if self._stopping():
            reasons.append("the gateway is stopping")
        if all(frontend.paused for frontend in self.frontends.values()):
            reasons.append("every frontend is paused")
        if not any(backend.usable for backend in self.backends):
            reasons.append("no backend is enabled, healthy and not tripped")
        return reasons

    def _sessions_of(self, backend: PooledBackend) -> list[Session]:
        return [session for session in self.sessions if session.backend_id == backend.id]


async def _move(sessions: list[Session], backend_id: str) -> None:
    """Have sessions leave a backend, some in each turn of the loop."""
    for number, session in enumerate(sessions, 1):
        if session.backend_id == backend_id:  # not lost or ended meanwhile
            session.fail_over()
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
