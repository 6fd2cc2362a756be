"""wsgw: a websocket gateway that keeps its clients and loses no message.

To embed it, `from wsgw_core import Gateway`; to extend it, see `wsgw_core.api`.

embedding          a gateway in a program, made of what a configuration file would hold
masking            keeps secrets out of what is printed; one_line: whatever steers a terminal
bounded_end        ends what belongs to plugins within a time
available_memory   how much memory the process may have, for the default of `limits.memory`
file_limit         how many files it may open, and how many sessions that is room for
tracebacks         frees what a caught error refers to
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embedding import Gateway

__all__ = ["Gateway", "__version__"]

__version__ = "0.1.0"


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "Gateway":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Not at once: it imports all parts, which most of those who import a part do not need.
        from .embedding import Gateway  # noqa: PLC0415 - slow

        return Gateway
