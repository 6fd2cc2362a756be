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
    """Offers backends in turn (round robin)."""

    def __init__(self, backends: Iterable[PooledBackend]) -> None:
        self.backends = tuple(backends)
        self._next = 0

    def candidates(self, *, last: PooledBackend | None = None) -> list[PooledBackend]:
        """Return the enabled backends in the order in which to try them, each once.

        Args:
            last: the one that has just failed; offered after all others.
        """
        turn = self._next % len(self.backends)
        self._next = turn + 1
        order = [*self.backends[turn:], *self.backends[:turn]]
        usable = [backend for backend in order if backend.enabled]
        usable.sort(key=lambda backend: backend is last)  # stable
        return usable
