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
        id: the name for operators; the same in each gateway of the same configuration.
        weight: its share of the sessions among others; at least 1.
        connections: what it has now in this gateway, dials under way included.
    """

    id: str
    weight: int = 1
    connections: int = 0

    @property
    def load(self) -> float:
        """The connections for each unit of its weight."""
        return self.connections / self.weight


class Policy(Protocol):
    """Weighs the backends that could serve a session. One for each `policy` of the configuration.

    A policy has no say in which backends these are: disabled ones, those that are down and those
    that have failed for this session are not among them; those of a higher `priority` number, and
    those that a health check has found wanting, come in a later call of their own.

    It may have the methods of PluginLife.
    """

    def costs(self, client: DialRequest, backends: Sequence[Candidate]) -> Sequence[float]:
        """Return a number for each backend; the lowest is dialled first.

        Backends of equal cost take turns, as often as their weights say. Called for each dial, on
        the event loop: it must be quick. After an exception, or an answer that is not one number
        for each backend, all take turns.

        Args:
            client: for whom a backend is dialled; `reconnect` says whether it had one before.
            backends: those that can stand in for each other, in no particular order.
        """
        ...
