"""The registries in which plugins register their kinds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .backend import Backend, BackendContext, Clock
from .errors import PluginError
from .gate import HandshakeGate
from .metrics import Metrics
from .options import Options
from .played_backend import PlayedBackend
from .policy import Policy
from .session import SessionListener
from .valve import Valve

FactoryT = TypeVar("FactoryT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class PluginContext:
    """The second argument of the factory of a valve, listener, gate or policy.

    Attributes:
        clock: time and timers.
        logger: for events, never for messages.
        metrics: the kind's metrics; see Metrics.
    """

    clock: Clock
    logger: logging.Logger
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Registration(Generic[FactoryT]):
    """One kind: its role, its options model and its factory; see Registry.add."""

    role: str
    kind: str
    options: type[Options]
    factory: FactoryT
    schemes: tuple[str, ...]
    played: PlayedBackend | None = None
    connectionless: bool = False
    needs_connection: bool = False


class Registry(Generic[FactoryT]):
    """The registered kinds of one role: backend, valve, listener, gate or policy."""

    def __init__(self, role: str) -> None:
        self.role = role
        self._by_name: dict[str, Registration[FactoryT]] = {}

    def add(
        self,
        kind: str,
        options: type[Options],
        factory: FactoryT,
        *,
        schemes: Sequence[str] = (),
        played: PlayedBackend | None = None,
        connectionless: bool = False,
        needs_connection: bool = False,
    ) -> None:
        """Registers one kind. A plugin's hook calls this at start.

        Args:
            kind: the value of `kind` in the configuration.
            options: the model that checks the entry's other keys.
            factory: called with the checked options and a context for each entry; returns the
                object of the role.
            schemes: further URL schemes that stand for this kind, besides its name (backends only).
            played: how `wsgw drill --backend KIND` plays such a backend (backends only). None: the
                drill cannot play it.
            connectionless: whether the application gets each message by itself, and has no
                connection for each session (backends only).
            needs_connection: whether the servers of its protocol know a client by its connection
                (valves only). `wsgw check` warns if a backend is connectionless.

        Raises:
            PluginError: the kind or a scheme is registered already, or `schemes` is a string.
        """
        if isinstance(schemes, str):
            raise PluginError(f"{self.role} kind {kind!r}: schemes is a string, not a sequence")
        names = dict.fromkeys((kind, *schemes))
        for name in names:
            taken = self._by_name.get(name)
            if taken is not None:
                raise PluginError(
                    f"{self.role} {name!r} is registered twice: by kinds {taken.kind!r}"
                    f" and {kind!r}"
                )
        registration = Registration(
            self.role,
            kind,
            options,
            factory,
            tuple(dict.fromkeys(schemes)),
            played,
            connectionless,
            needs_connection,
        )
        self._by_name.update(dict.fromkeys(names, registration))

    def remove(self, kind: str) -> None:
        """Removes a kind and its schemes, to roll back a failed registration."""
        for name in [name for name, entry in self._by_name.items() if entry.kind == kind]:
            del self._by_name[name]

    def find(self, kind_or_scheme: str) -> Registration[FactoryT] | None:
        """Returns the registration of a kind or of a URL scheme, or None."""
        return self._by_name.get(kind_or_scheme)

    def __iter__(self) -> Iterator[Registration[FactoryT]]:
        """Iterates over the registrations, one for each kind."""
        return iter({entry.kind: entry for entry in self._by_name.values()}.values())

    def kinds(self) -> tuple[str, ...]:
        """Returns all registered kinds."""
        return tuple(entry.kind for entry in self)


BackendFactory = Callable[[Any, BackendContext], Backend]
ValveFactory = Callable[[Any, PluginContext], Valve]
ListenerFactory = Callable[[Any, PluginContext], SessionListener]
GateFactory = Callable[[Any, PluginContext], HandshakeGate]
PolicyFactory = Callable[[Any, PluginContext], Policy]

BackendRegistry = Registry[BackendFactory]
ValveRegistry = Registry[ValveFactory]
ListenerRegistry = Registry[ListenerFactory]
GateRegistry = Registry[GateFactory]
PolicyRegistry = Registry[PolicyFactory]
