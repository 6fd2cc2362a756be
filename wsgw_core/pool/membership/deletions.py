"""What operators have deleted, and a reload must not bring back."""

from __future__ import annotations

from collections.abc import Iterable

from ...plugins.components import BackendComponent


class Deletions:
    """The entries of the configuration that operators have deleted while it was in effect.

    An entry stays deleted until an operator adds one of its id, or a configuration is read that has
    no such entry, or has it with another URL. What else changes in it changes nothing.
    """

    def __init__(self) -> None:
        self._urls: dict[str, str | None] = {}  # of all entries, by their ids
        self._deleted: set[str] = set()

    def follow(self, components: Iterable[BackendComponent]) -> None:
        """Takes note of the entries of the configuration that is in effect from now on."""
        components = tuple(components)
        self._deleted = {each.id for each in components if self.hold(each)}
        self._urls = {each.id: each.entry.url for each in components}

    def add(self, backend_id: str) -> None:
        """Records that an operator has deleted a backend; without effect if no entry has its id."""
        if backend_id in self._urls:
            self._deleted.add(backend_id)

    def lift(self, backend_id: str) -> None:
        """Records that an operator adds a backend."""
        self._deleted.discard(backend_id)

    def hold(self, component: BackendComponent) -> bool:
        """Returns whether an entry of a configuration is not to be offered."""
        return component.id in self._deleted and self._urls[component.id] == component.entry.url
