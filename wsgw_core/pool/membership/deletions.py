"""The configured backends that operators have deleted, so that no reload brings them back."""

from __future__ import annotations

from collections.abc import Iterable

from ...plugins.plugin_specs import BackendSpec


class Deletions:
    """The entries of the configuration that operators have deleted.

    An entry stays deleted until an operator adds a backend with its id, or a reload brings a
    configuration without the entry or with another URL for it. Other changes have no effect.
    """

    def __init__(self) -> None:
        self._urls: dict[str, str | None] = {}  # of all entries, by their ids
        self._deleted: set[str] = set()

    def follow(self, specs: Iterable[BackendSpec]) -> None:
        """Records the entries of the configuration that takes effect now."""
        specs = tuple(specs)
        self._deleted = {each.id for each in specs if self.has(each)}
        self._urls = {each.id: each.entry.url for each in specs}

    def add(self, backend_id: str) -> None:
        """Records that an operator deletes a backend; without effect if no entry has its id."""
        if backend_id in self._urls:
            self._deleted.add(backend_id)

    def lift(self, backend_id: str) -> None:
        """Records that an operator adds a backend."""
        self._deleted.discard(backend_id)

    def has(self, spec: BackendSpec) -> bool:
        """Returns whether an entry of a configuration is deleted."""
        return spec.id in self._deleted and self._urls[spec.id] == spec.entry.url
