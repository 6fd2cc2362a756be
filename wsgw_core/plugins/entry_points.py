"""Names the distribution of an entry point, and formats import errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def distribution_of(entry_point: EntryPoint) -> tuple[str, str]:
    """Returns name and version of a distribution, even if its metadata lacks them."""
    fields = entry_point.dist.metadata if entry_point.dist is not None else None
    name = fields["Name"] if fields is not None and "Name" in fields else ""
    version = fields["Version"] if fields is not None and "Version" in fields else ""
    return name or "an unnamed distribution", version or "of unknown version"


def error_text(error: BaseException) -> str:
    """Returns type and text of an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
