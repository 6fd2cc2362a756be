"""wsgw: a websocket gateway that keeps its clients connected and loses no message.

To embed it, `from wsgw_core import Gateway`; to extend it, see `wsgw_core.api`.

embedding          runs a gateway inside a program
cancellation       tells the cancellation of a task from one that a plugin raises
masking            masks secrets in output
one_line           makes untrusted text safe for one line of output
reported_number    reads what an object of a plugin reports
available_memory   measures the memory of the machine or container
file_limit         reads and raises the limit of open files; converts it to sessions
spread_calls       spreads calls that many sessions need at the same moment
tracebacks         frees the frames that a handled error refers to
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
