"""Policies decide which backend a session gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .backend import DialRequest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend that a session could get.

    Attributes:
        id: the backend's id; the same in each gateway with the same configuration.
        weight: its share of the sessions; at least 1.
        connections: its connections in this gateway now, including dials in progress.
    """

    id: str
    weight: int = 1
    connections: int = 0

    @property
    def load(self) -> float:
        """The connections divided by the weight."""
        return self.connections / self.weight


class Policy(Protocol):
    """Ranks the backends that could serve a session. There is one for each configured `policy`.

    wsgw leaves out backends that are disabled, down, or have failed for this session. Backends with
    a higher `priority` number, and those that a health check found unhealthy, come in a later call.

    A policy may have the methods of PluginLife.
    """

    def costs(self, client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """Returns a number for each backend; wsgw dials the one with the lowest number first.

        Backends with equal numbers take turns in proportion to their weights. wsgw calls this for
        each dial, on the event loop, so it must be quick. After an exception, or a result that is
        not one number for each backend, all backends take turns.

        Args:
            client: the client that needs a backend; `reconnect` says whether it had one before.
            backends: the backends to choose from, in no particular order.
        """
