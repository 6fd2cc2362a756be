"""CloudEvents in binary content mode: https://github.com/cloudevents/spec, HTTP binding 1.0."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNSAFE = re.compile(r"[^\x21\x23\x24\x26-\x7e]")  # also the quote and %, section 3.1.3.2


def encoded(value: str) -> str:
    """Returns a value percent-encoded for a header, HTTP binding section 3.1.3.2."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


def constant_headers(session_id: str, path: str) -> tuple[tuple[str, str], ...]:
    """Returns the attributes that all events of a session share."""
    return (
        ("ce-specversion", "1.0"),
        ("ce-source", "/wsgw"),
        ("ce-subject", encoded(path)),
        ("ce-partitionkey", encoded(session_id)),
    )


def event_headers(event: str, event_id: str, now: float) -> tuple[tuple[str, str], ...]:
    """Returns the attributes of one event.

    Args:
        event: `connect`, `message` or `disconnect`.
        event_id: the same for each attempt.
        now: Unix time.
    """
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    return (
        ("ce-type", f"wsgw.{event}"),
        ("ce-id", event_id),
        ("ce-time", time.replace("+00:00", "Z")),
    )
