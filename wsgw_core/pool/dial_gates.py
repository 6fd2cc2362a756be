"""The dial gates of the backends of one group."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

from .backend_pool import PooledBackend
from .dial_gate import DialGate


class DialGates:
    """One gate for each backend, whoever dials it.

    Args:
        slots, spacing, patience: of each gate; see DialGate.
    """

    def __init__(self, slots: int = 100, spacing: float = 0.01, patience: float = math.inf) -> None:
        self._bounds = slots, spacing, patience
        # nothing is kept of backends that are gone
        self._gates: WeakKeyDictionary[PooledBackend, DialGate] = WeakKeyDictionary()

    @property
    def waiting(self) -> int:
        """How many dials wait for others to end."""
        return sum(gate.waiting for gate in self._gates.values())

    def of(self, backend: PooledBackend) -> DialGate:
        """Return the gate of a backend."""
        gate = self._gates.get(backend)
        if gate is None:
            gate = self._gates[backend] = DialGate(backend.breaker, *self._bounds)
        return gate

    def change(self, slots: int, spacing: float, patience: float = math.inf) -> None:
        """Go on with other bounds, for those too that wait already; see DialGate.change."""
        self._bounds = slots, spacing, patience
        for gate in self._gates.values():
            gate.change(*self._bounds)
