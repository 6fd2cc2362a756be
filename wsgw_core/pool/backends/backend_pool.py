"""The backends of one gateway."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import cast

from ...api import Backend, Close, CloseCause, SessionTrackingBackend
from ...config.upstream_options import DEFAULT_BREAKER_THRESHOLD
from ...control.event_stream import EventStream
from ...control.events import BackendDown, BackendProved, BackendTripped, BackendUp
from ...metrics.traffic import Traffic
from .absence import Absence
from .breaker import Breaker
from .outage import Outage
from .turn import Turn


class _Fact:
    """An attribute of a PooledBackend on which it depends whether it is usable."""

    def __set_name__(self, owner: type[PooledBackend], name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, backend: PooledBackend, owner: type[PooledBackend]) -> bool:
        return bool(getattr(backend, self._slot))

    def __set__(self, backend: PooledBackend, value: bool) -> None:
        setattr(backend, self._slot, value)
        backend.note_change()


class PooledBackend:
    """One backend and what is known of it.

    Args:
        backend_id: for operators, unique in the gateway.
        backend: the plugin's object, opened.
        breaker_threshold: failures in a row after which it is left alone; negative: never.
        logger: for faults of its plugin; and for its events until a pool has it.
        group: the name of the backends that it can stand in for.
        priority: those of a higher number are for when none of a lower one can be had.
        weight: its share of the sessions among others; at least 1.
        address: where it is; the same as that of another one where both stand for one server. By
            default its id.

    Attributes:
        id, backend, breaker, group, priority, weight, address: see above.
        events: told of what happens to it.
        outage: whether it is down by its own account.
        absence: whether dials do not reach it.
        losses: how often all of its connections were lost at once.
        writable: whether it takes messages now, by its own account.
        enabled: whether new connections may be made to it.
        healthy: what the last health checks have found.
        removed: nobody gets it any more.
        active, total, failures: connections now, connections ever; failed dials and connections
            lost before they had proved themselves.
        proved: connections now that have proved themselves.
        dialling: dials under way, those included that wait for others.
        answered_at: the clock's time of its last answer to a dial.
        on_change: called with the backend when it becomes usable, or ceases to be, or is back.
        credit: what it is still owed of the turns that there were; see BackendGroup.
        last_turn: the greater, the later it had one.
        traffic: the messages of its sessions.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_enabled",
        "_healthy",
        "_logger",
        "_removed",
        "_was_usable",
        "absence",
        "active",
        "address",
        "answered_at",
        "backend",
        "breaker",
        "credit",
        "dialling",
        "events",
        "failures",
        "group",
        "id",
        "last_turn",
        "losses",
        "on_change",
        "outage",
        "priority",
        "proved",
        "total",
        "traffic",
        "weight",
        "writable",
    )

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
        self._logger = logger or logging.getLogger("wsgw")
        self.events = EventStream(self._logger)

    @property
    def usable(self) -> bool:
        """Whether it takes part as it should: offered, enabled, healthy, not tripped, not down."""
        return self.fault is None

    @property
    def fault(self) -> str | None:
        """Why it does not take part as it should; None: it does."""
        if self._removed:
            return "was removed"
        if not self._enabled:
            return "was disabled"
        if self.outage.reason:
            return "is down"
        if self.breaker.tripped:
            return "tripped"
        return None if self._healthy else "was found unhealthy"

    def is_for_newcomers(self, now: float) -> bool:
        """Returns whether nothing speaks for sending new clients elsewhere; it may still be dead.

        Args:
            now: the clock's time in seconds.
        """
        return self._enabled and self._healthy and not self.outage.rest(now)

    def note_change(self) -> None:
        """Tells whom it concerns if it has become usable, or has ceased to be."""
        if self.usable != self._was_usable:
            self._was_usable = not self._was_usable
            if self.on_change is not None:
                self.on_change(self)

    @property
    def is_there(self) -> bool:
        """Whether it can be dialled, and nothing says that this would be in vain."""
        return self._enabled and not (self._removed or self.absence.is_away or self.outage.reason)

    @property
    def is_on_trial(self) -> bool:
        """Whether it has failed again and again, and a client is about to show if it works now."""
        return self.breaker.on_probation and self.load > self.proved

    @property
    def load(self) -> int:
        """Its connections, dials under way included."""
        return self.active + self.dialling

    def connected(self, now: float) -> None:
        """Counts a connection, made at the clock's time `now`."""
        self.total += 1
        self.answered(now)

    def answered(self, now: float) -> None:
        """Records that it is there, whether or not it takes this client."""
        self.answered_at = now
        self.come_up()
        is_back = self.absence.end()
        if self.breaker.connected():
            self.note_change()
        elif is_back and self.on_change is not None:
            self.on_change(self)

    def proves(self) -> None:
        """Records that one of its connections works."""
        self.proved += 1
        if self.breaker.on_probation:
            self.events.publish(BackendProved(self.id))
        self.breaker.proved()
        self.outage.proved()

    def reset(self) -> None:
        """Forgets all failures: it may be dialled again at once."""
        self.come_up()
        self.absence.end()
        self.breaker.reset()
        self.note_change()

    def go_down(self, now: float, reason: str, rest: float = 0.0) -> None:
        """Records that it is down by its own account; see Outage.begin."""
        if self.outage.begin(now, reason, rest):
            self.events.publish(BackendDown(self.id, reason))
            self.note_change()

    def come_up(self) -> None:
        """Records that it is not down, or not any more."""
        if self.outage.end():
            self.events.publish(BackendUp(self.id))
            self.note_change()

    async def close(self) -> None:
        """Closes the plugin's object; nothing is told to it any more."""
        self._closed = True
        await self.backend.close()

    @property
    def hears_ends(self) -> bool:
        """Whether it is to be told of the ends of its sessions."""
        return not self._closed and hasattr(self.backend, "session_ended")

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """Tells it that a session is over, if it wants to hear of it."""
        if not self.hears_ends:
            return
        try:
            cast("SessionTrackingBackend", self.backend).session_ended(session_id, close, cause)
        except Exception:
            self._logger.exception("backend %s: fault in its plugin at a session's end", self.id)

    def failed(
        self, now: float, reason: str, *, counts: bool = True, unreachable: bool = False
    ) -> None:
        """Counts a failed dial, or a connection that was lost before it had proved itself.

        The breaker hears nothing of it while the backend is down by its own account.

        Args:
            now: the clock's time in seconds.
            reason: for the log.
            counts: whether it counts for the breaker: no client can have provoked it.
            unreachable: whether no connection could be made.
        """
        self.failures += 1
        was_told = self.breaker.on_probation  # clients could have it come and go at will
        if not counts or self.outage.reason:
            return
        if self.breaker.failed(now, unreachable=unreachable):
            if not was_told:
                self.events.publish(BackendTripped(self.id, reason))
            self.note_change()


class BackendPool:
    """All that are offered, and what is left of others; they come and go at any time.

    Args:
        backends: the first ones.
        events: told of what happens to them.
    """

    def __init__(
        self, backends: Iterable[PooledBackend] = (), events: EventStream | None = None
    ) -> None:
        self._events = events or EventStream()
        self._backends: dict[str, PooledBackend] = {}
        self._turns = count(1)
        self._leaving: set[PooledBackend] = set()
        self._departed = Traffic()
        self._watchers: dict[Callable[[PooledBackend], None], None] = {}
        for backend in backends:
            self.add(backend)

    @property
    def backends(self) -> tuple[PooledBackend, ...]:
        """All of them, in the order in which they were added."""
        return tuple(self._backends.values())

    def find(self, backend_id: str) -> PooledBackend | None:
        """Returns the backend of an id."""
        return self._backends.get(backend_id)

    def of_group(self, group: str) -> list[PooledBackend]:
        """Returns the backends of a group; where it is gone, those that stay for its sessions."""
        offered = [each for each in self.backends if each.group == group]
        return offered or [each for each in self.staying if each.group == group]

    @property
    def staying(self) -> tuple[PooledBackend, ...]:
        """Those of groups that are gone; see `remove`."""
        return tuple(each for each in self._leaving if not each.removed)

    def loads(self, backends: Iterable[PooledBackend]) -> dict[PooledBackend, int]:
        """Returns the load of each, with what those of its address still have that are leaving.

        A reload that changes a backend leaves its sessions where they are.
        """
        leaving: Counter[str] = Counter()
        for each in self._leaving:
            leaving[each.address] += each.load
        return {
            each: leaving[each.address] + (0 if each in self._leaving else each.load)
            for each in backends
        }

    def is_usable(self, group: str) -> bool:
        """Returns whether a group has a backend that takes part as it should."""
        return any(each.usable for each in self.of_group(group))

    def add(self, backend: PooledBackend) -> None:
        """Offers a backend from now on.

        Raises:
            ValueError: there is one of this id.
        """
        if backend.id in self._backends:
            raise ValueError(f"backend {backend.id!r} exists already")
        self._backends[backend.id] = backend
        backend.last_turn = next(self._turns)  # behind all others
        backend.on_change = self._tell
        backend.events = self._events
        self._tell(backend)

    def remove(self, backend: PooledBackend, *, staying: bool = False) -> None:
        """Offers a backend no more; its connections are somebody else's business.

        `forget` is to be called when they are over.

        Args:
            backend: of this pool.
            staying: its whole group is gone. Sessions of the group, which get no other, can come
                back to it until it is `removed`.
        """
        backend.removed = not staying
        self._leaving.add(backend)
        del self._backends[backend.id]

    def watch(self, watcher: Callable[[PooledBackend], None]) -> None:
        """Calls `watcher` with each backend that becomes usable or unusable, is back, or is new."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Callable[[PooledBackend], None]) -> None:
        """Calls it no more."""
        self._watchers.pop(watcher, None)

    def take_turn(self, backend: PooledBackend, among: Collection[PooledBackend]) -> Turn:
        """Gives a backend its turn.

        Args:
            backend: of equal ones, it waits for the next turn longer than all others.
            among: those that could have had it, this one included.
        """
        turn = Turn(backend, among)
        backend.last_turn = next(self._turns)
        return turn

    def forget(self, backend: PooledBackend) -> None:
        """Keeps nothing of a removed backend but the number of its messages."""
        if backend in self._leaving:
            self._leaving.remove(backend)
            self._departed.add(backend.traffic)

    def traffic(self) -> Traffic:
        """Returns the messages of all backends that there ever were."""
        total = Traffic()
        total.add(self._departed)
        for backend in (*self.backends, *self._leaving):
            total.add(backend.traffic)
        return total

    def _tell(self, changed: PooledBackend) -> None:
        for watcher in tuple(self._watchers):
            watcher(changed)
