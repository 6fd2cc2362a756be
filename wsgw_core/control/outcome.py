"""What a command did: its outcome, and for a reload the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
        """Compare the backends of before a reload with those of after it, by their ids."""
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command.

    Attributes:
        result: `unchanged`: everything was as wanted already. `unknown`: there is nothing of this
            id. `refused`: it cannot be done. `forbidden`: operators may not do that.
            `unsupported`: this gateway, as it is configured, cannot do that.
        problems: why a command was refused or is forbidden.
        report: of a reload that is done.
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
