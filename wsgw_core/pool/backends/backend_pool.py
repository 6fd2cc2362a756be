"""The backends of one gateway."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import cast

from ...api import Backend, Close, CloseCause, CloseCode, SessionTrackingBackend
from ...api.rare_warning import RareWarning
from ...config.upstream_options import DEFAULT_BREAKER_THRESHOLD
from ...control.event_stream import EventStream
from ...control.events import BackendDown, BackendProved, BackendTripped, BackendUp
from ...metrics.traffic import Traffic
from ...spread_calls import SpreadCalls
from .absence import Absence
from .breaker import Breaker
from .outage import Outage
from .turn import Turn
from .watchers import Watcher, Watchers


class _Fact:
    """An attribute of a PooledBackend that decides, among others, whether it is usable."""

    def __set_name__(self, owner: type[PooledBackend], name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, backend: PooledBackend, owner: type[PooledBackend]) -> bool:
        return bool(getattr(backend, self._slot))

    def __set__(self, backend: PooledBackend, value: bool) -> None:
        setattr(backend, self._slot, value)
        backend.note_change()


class PooledBackend:
    """One backend and its state.

    Args:
        backend_id: the backend's id, unique in the gateway.
        backend: the plugin's object, opened.
        breaker_threshold: failures in a row that trip the breaker; negative: never.
        logger: logs faults of its plugin, and its events until a pool has it.
        group: the name of its group; backends of a group can replace each other.
        priority: a backend is used only if none with a lower number can be had.
        weight: its share of the sessions; at least 1.
        address: the address of its server; two backends with the same address stand for one server.
            By default its id.

    Attributes:
        id, backend, breaker, group, priority, weight, address: see above.
        events: receives its events.
        outage: whether its plugin reports it as down.
        absence: whether dials do not reach it.
        losses: how often it has lost all its connections at once.
        writable: whether it takes messages now; its plugin reports this.
        enabled: whether operators allow new connections to it.
        healthy: the result of the last health checks.
        removed: whether no session gets it any more.
        active, total, failures: its present connections; all its connections; its failed dials and
            the connections that it lost before they had proved themselves.
        proved: its present connections that have proved themselves.
        dialling: its dials in progress, including those that wait for others.
        answered_at: the clock's time of its last answer to a dial.
        on_change: called with the backend when it becomes usable or unusable, or is back.
        credit: its share of the past turns that it has not had yet; see BackendGroup.
        last_turn: a number that is greater for a later turn.
        traffic: the messages of its sessions.
        ends: through it, sessions learn of the ends of their connections.
    """

    enabled = _Fact()
    healthy = _Fact()
    removed = _Fact()

    def __init__(  # noqa: PLR0913 - what an entry says of its backend
        self,
        backend_id: str,
        backend: Backend,
        breaker_threshold: int = DEFAULT_BREAKER_THRESHOLD,
        logger: logging.Logger | None = None,
        *,
        group: str = "",
        priority: int = 1,
        weight: int = 1,
        address: str | None = None,
    ) -> None:
        self.id = backend_id
        self.address = backend_id if address is None else address
        self.backend = backend
        self.breaker = Breaker(breaker_threshold)
        self.group = group
        self.priority = priority
        self.weight = weight
        self.credit = 0
        self._enabled = self._healthy = self._was_usable = True
        self._removed = False
        self.on_change: Callable[[PooledBackend], None] | None = None
        self.outage = Outage()
        self.absence = Absence()
        self.losses = 0
        self.writable = True
        self.active = 0
        self.proved = 0
        self._closed = False
        self.dialling = 0
        self.answered_at = float("-inf")
        self.last_turn = 0
        self.total = 0
        self.failures = 0
        self.traffic = Traffic()
        self.ends = SpreadCalls()
        logger = logger or logging.getLogger("wsgw")
        self._warn = RareWarning(logger)
        self._warn_of_loss = RareWarning(logger)
        self.events = EventStream(logger)

    @property
    def usable(self) -> bool:
        """Whether it is offered, enabled and healthy, and neither tripped nor down."""
        return self.fault is None

    @property
    def fault(self) -> str | None:
        """Why it is not usable; None: it is."""
        if self._removed:
            return "was removed"
        if not self._enabled:
            return "was disabled"
        if self.outage.reason:
            return "is down"
        if self.breaker.tripped:
            return "tripped"
        return None if self._healthy else "became unhealthy"

    def is_for_newcomers(self, now: float) -> bool:
        """Returns whether it may get new clients, as far as known; it may still be dead.

        Args:
            now: the clock's time in seconds.
        """
        return self._enabled and self._healthy and not self.outage.rest(now)

    def note_change(self) -> None:
        """Calls `on_change` if it has become usable or unusable."""
        if self.usable != self._was_usable:
            self._was_usable = not self._was_usable
            if self.on_change is not None:
                self.on_change(self)

    @property
    def is_there(self) -> bool:
        """Whether it can be dialled, and is neither away nor down."""
        return self._enabled and not (self._removed or self.absence.is_away or self.outage.reason)

    @property
    def is_on_trial(self) -> bool:
        """Whether it has failed repeatedly, and a new connection is about to prove itself."""
        return self.breaker.on_probation and self.load > self.proved

    @property
    def load(self) -> int:
        """Its connections, including dials in progress."""
        return self.active + self.dialling

    def connected(self, now: float) -> None:
        """Counts a new connection; `now` is the clock's time."""
        self.total += 1
        self.answered(now)

    def answered(self, now: float) -> None:
        """Records that it has answered a dial, whether or not it takes this client."""
        self.answered_at = now
        self.come_up()
        is_back = self.absence.end()
        if self.breaker.connected():
            self.note_change()
        elif is_back and self.on_change is not None:
            self.on_change(self)

    def proves(self) -> None:
        """Records that one of its connections has proved itself."""
        self.proved += 1
        if self.breaker.on_probation:
            self.events.publish(BackendProved(self.id))
        self.breaker.proved()
        self.outage.proved()

    def reset(self) -> None:
        """Forgets all failures, so that it may be dialled at once."""
        self.come_up()
        self.absence.end()
        self.breaker.reset()
        self.note_change()

    def go_down(self, now: float, reason: str, rest: float = 0.0) -> None:
        """Records that its plugin reports it as down; see Outage.begin."""
        if self.outage.begin(now, reason, rest):
            self.events.publish(BackendDown(self.id, reason))
            self.note_change()

    def come_up(self) -> None:
        """Records that it is not down."""
        if self.outage.end():
            self.events.publish(BackendUp(self.id))
            self.note_change()

    async def close(self) -> None:
        """Closes the plugin's object, and reports no more ends of sessions to it."""
        self._closed = True
        await self.backend.close()

    @property
    def tracks_sessions(self) -> bool:
        """Whether the ends of its sessions are reported to it; see SessionTrackingBackend."""
        if self._closed:
            return False
        try:
            return hasattr(self.backend, "session_ended")
        except Exception as error:  # noqa: BLE001 - the code of a plugin
            self.plugin_failed("session_ended", error)
            return False

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Reports the end of a session to it, if it tracks sessions."""
        if not self.tracks_sessions:
            return
        try:
            cast("SessionTrackingBackend", self.backend).session_ended(session_id, close, cause)
        except Exception as error:  # noqa: BLE001 - the code of a plugin
            self.plugin_failed("session_ended", error)

    def plugin_failed(self, name: str, error: Exception) -> None:
        """Logs what a method or attribute of its plugin has raised, at most once a minute."""
        self._warn(
            "backend %s: its plugin raised an error in %s: %r",
            self.id,
            name,
            error,
            level=logging.ERROR,
            exc_info=error,
        )

    def session_lost(self, close: Close) -> None:
        """Records that a session moves on because of this end of its connection.

        Warns at most once a minute: at the default level of the log, nothing else tells an operator
        that a backend has died. If its plugin has reported it as down, that was the warning.
        """
        if close.code == CloseCode.LOST and not close.breach:  # it may be dead or frozen
            self.absence.begin()
        if not self.outage.reason:
            self._warn_of_loss(
                "backend %s: a session moves on, because its connection has ended with %s",
                self.id,
                close,
                extra={"backend": self.id, "reason": str(close)},
            )

    def failed(
        self, now: float, reason: str, *, counts: bool = True, unreachable: bool = False
    ) -> None:
        """Counts a failed dial, or a connection that was lost before it had proved itself.

        While the backend is down, this does not count for the breaker.

        Args:
            now: the clock's time in seconds.
            reason: for the log.
            counts: whether it counts for the breaker, because no client can have provoked it.
            unreachable: whether no connection could be made.
        """
        self.failures += 1
        was_published = self.breaker.on_probation  # clients could make it trip again and again
        if not counts or self.outage.reason:
            return
        if self.breaker.failed(now, unreachable=unreachable):
            if not was_published:
                self.events.publish(BackendTripped(self.id, reason))
            self.note_change()


class BackendPool:
    """All offered backends, and removed ones that still have connections.

    Args:
        backends: the backends to begin with.
        events: receives their events.
    """

    def __init__(
        self, backends: Iterable[PooledBackend] = (), events: EventStream | None = None
    ) -> None:
        self._events = events or EventStream()
        self._backends: dict[str, PooledBackend] = {}
        self._turns = count(1)
        self._leaving: set[PooledBackend] = set()
        self._departed = Traffic()
        self._watchers: dict[str | None, Watchers] = {}  # None: of all groups
        for backend in backends:
            self.add(backend)

    @property
    def backends(self) -> tuple[PooledBackend, ...]:
        """All offered backends, in the order in which they were added."""
        return tuple(self._backends.values())

    def find(self, backend_id: str) -> PooledBackend | None:
        """Returns the offered backend of an id, or None."""
        return self._backends.get(backend_id)

    def of_group(self, group: str) -> list[PooledBackend]:
        """Returns the backends of a group; if it is gone, those that stay for its sessions."""
        offered = [each for each in self.backends if each.group == group]
        return offered or [each for each in self.staying if each.group == group]

    @property
    def staying(self) -> tuple[PooledBackend, ...]:
        """The backends that stay for the sessions of groups that are gone; see `remove`."""
        return tuple(each for each in self._leaving if not each.removed)

    def versions(self, backend: PooledBackend) -> list[PooledBackend]:
        """Returns a backend, and removed ones of the same id and group that still have connections.

        A reload that changes a backend leaves its sessions at the old one.
        """
        ours = backend.id, backend.group
        leaving = (each for each in self._leaving if each is not backend)
        return [backend, *(each for each in leaving if (each.id, each.group) == ours)]

    def connections(self, backend: PooledBackend) -> int:
        """Returns the connections of a backend, including those that it kept over a reload."""
        return sum(each.active for each in self.versions(backend))

    def loads(self, backends: Iterable[PooledBackend]) -> dict[PooledBackend, int]:
        """Returns each backend's load, plus that of removed backends with the same address."""
        leaving: Counter[str] = Counter()
        for each in self._leaving:
            leaving[each.address] += each.load
        return {
            each: leaving[each.address] + (0 if each in self._leaving else each.load)
            for each in backends
        }

    def is_usable(self, group: str) -> bool:
        """Returns whether a group has a usable backend."""
        return any(each.usable for each in self.of_group(group))

    def add(self, backend: PooledBackend) -> None:
        """Offers a backend from now on.

        Raises:
            ValueError: another backend has this id.
        """
        if backend.id in self._backends:
            raise ValueError(f"backend {backend.id!r} exists already")
        self._backends[backend.id] = backend
        backend.last_turn = next(self._turns)  # behind all others
        backend.on_change = self._tell
        backend.events = self._events
        self._tell(backend)

    def remove(self, backend: PooledBackend, *, staying: bool = False) -> None:
        """Stops offering a backend; its connections stay. Call `forget` when they are over.

        Args:
            backend: a backend of this pool.
            staying: whether its whole group is gone. Sessions of the group get no other backend,
                and can come back to it until it is `removed`.
        """
        backend.removed = not staying
        self._leaving.add(backend)
        del self._backends[backend.id]

    def watch(self, watcher: Watcher, group: str | None = None) -> None:
        """Calls `watcher` with each backend that becomes usable or unusable, is back, or is new.

        If there are many watchers, most are called in later turns of the event loop; see Watchers.

        Args:
            watcher: the function.
            group: the group of the backends; None: all groups.
        """
        self._watchers.setdefault(group, Watchers()).add(watcher)

    def unwatch(self, watcher: Watcher, group: str | None = None) -> None:
        """Stops calling a watcher.

        Args:
            watcher: the function.
            group: as in `watch`.
        """
        watchers = self._watchers.get(group)
        if watchers is not None:
            watchers.discard(watcher)
            if not len(watchers):
                del self._watchers[group]

    def take_turn(self, backend: PooledBackend, among: Collection[PooledBackend]) -> Turn:
        """Returns a backend's turn, and puts the backend behind its equals for the next one.

        Args:
            backend: the backend.
            among: the candidates for the turn, including this one.
        """
        turn = Turn(backend, among)
        backend.last_turn = next(self._turns)
        return turn

    def forget(self, backend: PooledBackend) -> None:
        """Removes all state of a removed backend, except for its counts of messages."""
        if backend in self._leaving:
            self._leaving.remove(backend)
            self._departed.add(backend.traffic)

    def traffic(self) -> Traffic:
        """Returns the counts of messages of all present and former backends."""
        total = Traffic()
        total.add(self._departed)
        for backend in (*self.backends, *self._leaving):
            total.add(backend.traffic)
        return total

    def _tell(self, changed: PooledBackend) -> None:
        for group in (None, changed.group):
            watchers = self._watchers.get(group)
            if watchers is not None:
                watchers.tell(changed)
