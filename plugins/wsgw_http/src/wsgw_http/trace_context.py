"""W3C Trace Context: https://www.w3.org/TR/trace-context/."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}.*")


class TraceContext:
    """The trace to which the requests of one session belong.

    wsgw passes on a valid `traceparent` of the client with its `tracestate`. Otherwise the session
    is a trace of its own with a span for each request. Its flag is "sampled"; the application
    decides whether to record it.

    Args:
        headers: the client's.
    """

    __slots__ = ("_given", "_trace_id")

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        parents, states = [], []
        for name, value in headers:
            lower = name.lower()
            if lower == "traceparent":
                parents.append(value)
            elif lower == "tracestate":
                states.append(value)
        self._given: tuple[tuple[str, str], ...] = ()
        self._trace_id = ""
        if len(parents) == 1 and _TRACEPARENT.fullmatch(parents[0]):
            self._given = (("traceparent", parents[0]),)
            if states:
                self._given += (("tracestate", ",".join(states)),)
        else:
            self._trace_id = f"{_random_bits(128):032x}"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Returns the headers of one request."""
        if self._given:
            return self._given
        return (("traceparent", f"00-{self._trace_id}-{_random_bits(64):016x}-01"),)


def _random_bits(count: int) -> int:
    return random.getrandbits(count) or 1
