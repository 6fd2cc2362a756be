"""The backends of one gateway."""

from __future__ import annotations

from collections.abc import Iterable

from ..api import Backend


class PooledBackend:
    """One backend and what is known of it.

    Attributes:
        id: for operators.
        backend: the plugin's object.
        enabled: whether new sessions may use it.
        active, total, failures: connections now, connections ever, failed dials.
    """

    __slots__ = ("active", "backend", "enabled", "failures", "id", "total")

    def __init__(self, backend_id: str, backend: Backend) -> None:
        self.id = backend_id
        self.backend = backend
        self.enabled = True
        self.active = 0
        self.total = 0
        self.failures = 0


class BackendPool:
    """Offers backends in turn (round robin).

    The turn is that of the one whose last turn is longest ago; so those that are left share fairly
    whatever is disabled or has failed.
    """

    def __init__(self, backends: Iterable[PooledBackend]) -> None:
        self.backends = tuple(backends)
        self._turns = list(self.backends)

    def candidates(self, *, last: PooledBackend | None = None) -> list[PooledBackend]:
        """Return the enabled backends in the order in which to try them, each once.

        Args:
            last: the one that has just failed; offered after all others.
        """
        usable = [backend for backend in self._turns if backend.enabled]
        usable.sort(key=lambda backend: backend is last)  # stable
        if usable:
            self._turns.remove(usable[0])
            self._turns.append(usable[0])
        return usable
