"""The outcome of a command, with the report of a reload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

_NAMED = 10  # ids in one line


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload has changed: ids of backends, and keys that need a restart.

    The ids include backends that operators have added and backends found by a DNS name.

    Attributes:
        added, removed, changed, unchanged: compared with before the reload.
        deleted: configured backends that stay removed because operators have deleted them.
        waiting: keys whose new values take effect only at the next start.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        before: Mapping[str, object],
        after: Mapping[str, object],
        deleted: Iterable[str],
        waiting: Iterable[str],
    ) -> ReloadReport:
        """Compares the backends before and after a reload by their ids."""
        both = [name for name in after if name in before]
        return cls(
            added=[name for name in after if name not in before],
            removed=[name for name in before if name not in after],
            changed=[name for name in both if after[name] is not before[name]],
            unchanged=[name for name in both if after[name] is before[name]],
            deleted=list(deleted),
            waiting=list(waiting),
        )

    @property
    def summary(self) -> str:
        """One line that summarizes all but `waiting`."""
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a command.

    Attributes:
        result: `unchanged`: there was nothing to change. `unknown`: unknown id. `refused`: the
            command failed. `forbidden`: operators may not do this. `unsupported`: the configuration
            of this gateway does not allow this.
        problems: why a command is refused or forbidden.
        report: the report of a successful reload.
    """

    result: Literal["done", "unchanged", "unknown", "refused", "forbidden", "unsupported"]
    problems: tuple[str, ...] = ()
    report: ReloadReport | None = None


DONE = Outcome("done")
UNCHANGED = Outcome("unchanged")
UNKNOWN = Outcome("unknown")
UNSUPPORTED = Outcome("unsupported")


def _shown(ids: Sequence[str]) -> str:
    more = [f"{len(ids) - _NAMED} more"] if len(ids) > _NAMED else []
    return ", ".join([*ids[:_NAMED], *more])
