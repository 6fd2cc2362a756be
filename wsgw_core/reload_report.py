"""What a reload has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .pool.backend_pool import PooledBackend

_NAMED = 10  # ids in one line


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What has become of the backends, by their ids, and what is left to do.

    Those that operators have added and those that were found by a name are among them.

    Attributes:
        added, removed: offered from now on, or no longer.
        changed: offered in another way than before.
        unchanged: as they were.
        deleted: those of the configuration that are left out since operators have deleted them.
        waiting: keys of the configuration whose new values take effect at the next start only.
    """

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    changed: Sequence[str] = ()
    unchanged: Sequence[str] = ()
    deleted: Sequence[str] = ()
    waiting: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        before: Iterable[PooledBackend],
        after: Iterable[PooledBackend],
        deleted: Sequence[str],
        waiting: Sequence[str],
    ) -> ReloadReport:
        """Compare the backends of before a reload with those of after it."""
        old, new = {each.id: each for each in before}, {each.id: each for each in after}
        both = [name for name in new if name in old]
        return cls(
            added=[name for name in new if name not in old],
            removed=[name for name in old if name not in new],
            changed=[name for name in both if new[name] is not old[name]],
            unchanged=[name for name in both if new[name] is old[name]],
            deleted=deleted,
            waiting=waiting,
        )

    @property
    def summary(self) -> str:
        """One line for people, without `waiting`."""
        number = len(self.added) + len(self.changed) + len(self.unchanged)
        line = f"done, {number} backend{'' if number == 1 else 's'}: "
        line += ", ".join(
            f"{len(ids)} {what}" + (f" ({_shown(ids)})" if ids else "")
            for what, ids in (
                ("added", self.added),
                ("removed", self.removed),
                ("changed", self.changed),
            )
        )
        line += f", {len(self.unchanged)} unchanged"
        return line + f"; deleted by operators: {_shown(self.deleted)}" if self.deleted else line


def _shown(ids: Sequence[str]) -> str:
    more = [f"{len(ids) - _NAMED} more"] if len(ids) > _NAMED else []
    return ", ".join([*ids[:_NAMED], *more])
