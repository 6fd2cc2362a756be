"""The groups of cases, and the gateway configuration for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_LARGE = {
    "max-message-size": "16MiB",
    "max-fragments": 65536,
    # The backend acknowledges nothing; see `_NO_PINGS` in legs.py.
    "ledger-bytes": "1GiB",
    "ledger-messages": 1_000_000,
}
# The fuzzer fails at uncompressed short messages. As a server it requests a window of
# 15 bits in some cases, regardless of the offer.
_COMPRESSED = {"enabled": True, "window-bits": 15, "min-size": 1}


@dataclass(frozen=True)
class CaseGroup:
    """Cases that run at the same time.

    Attributes:
        name: of the group.
        cases: patterns of all cases.
        sample: patterns of the cases that run in CI.
        limits: for the gateway; without them the defaults apply.
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
    # As a server the fuzzer requires that the client offers it.
    CaseGroup(
        "no-context-takeover",
        ("13.2.*", "13.5.*", "13.6.*"),
        sample=("13.2.5", "13.5.5", "13.6.11"),
        limits=_LARGE,
        compression={**_COMPRESSED, "no-context-takeover": True},
    ),
)
