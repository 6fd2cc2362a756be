"""Which cases there are, and how a gateway is configured for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_LARGE = {
    "max-message-size": "16MiB",
    "max-fragments": 65536,
    # Nothing is acknowledged on the backend's side; see `_NO_PINGS` in legs.py.
    "ledger-bytes": "1GiB",
    "ledger-messages": 1_000_000,
}
# The fuzzer fails at short messages that are sent as they are. As a server it asks for a window of
# 15 bits in some cases, whatever was offered.
_COMPRESSED = {"enabled": True, "window-bits": 15, "min-size": 1}


@dataclass(frozen=True)
class CaseGroup:
    """Cases that run at the same time.

    Attributes:
        name: of the group.
        cases: patterns of all of them.
        sample: patterns of those that stand for them in CI.
        limits: for the gateway; without them it has what it has when nothing is configured.
        compression: the same, for the leg that is tested.
    """

    name: str
    cases: tuple[str, ...]
    sample: tuple[str, ...]
    limits: dict[str, Any] = field(default_factory=dict)
    compression: dict[str, Any] = field(default_factory=dict)


_FRAMES = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")

# In the first group messages must come back within a second, so nothing large runs beside it.
GROUPS = (
    CaseGroup("frames", _FRAMES, sample=_FRAMES),
    CaseGroup("sizes", ("9.*",), sample=("9.*.1", "9.1.6", "9.2.6"), limits=_LARGE),
    CaseGroup(
        "compression",
        ("12.*", "13.1.*", "13.3.*", "13.4.*", "13.7.*"),
        sample=("12.*.3", "12.1.11", "13.1.11", "13.3.5", "13.4.5", "13.7.5"),
        limits=_LARGE,
        compression=_COMPRESSED,
    ),
    # As a server the fuzzer wants it to have been offered.
    CaseGroup(
        "no-context-takeover",
        ("13.2.*", "13.5.*", "13.6.*"),
        sample=("13.2.5", "13.5.5", "13.6.11"),
        limits=_LARGE,
        compression={**_COMPRESSED, "no-context-takeover": True},
    ),
)
