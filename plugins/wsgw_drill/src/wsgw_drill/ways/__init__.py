"""The ways to break backends and clients.

way      the parts of a way, and what it expects of the gateway
deaths   backends that end: killed, terminated, one after the other, all at once
outages  all backends down at once, and how soon clients are served again
silence  backends that fall silent, or drop connections in mid-message
manners  backends that are slow, refuse, drop or never send pongs
clients  clients that are slow, vanish, flood, or send and close at once
moves    planned moves from live backends
herd     thousands of sessions of one backend that move at once
"""

from __future__ import annotations

from .clients import WAYS as _CLIENTS
from .deaths import WAYS as _DEATHS
from .herd import WAYS as _HERD
from .manners import WAYS as _MANNERS
from .moves import WAYS as _MOVES
from .outages import WAYS as _OUTAGES
from .silence import WAYS as _SILENCE
from .way import Bound, Expectation, Way

__all__ = ["DEFAULT", "WAYS", "Bound", "Expectation", "Way"]

WAYS: dict[str, Way] = {
    way.name: way for way in (*_DEATHS, *_OUTAGES, *_MOVES, *_SILENCE, *_MANNERS, *_CLIENTS, *_HERD)
}
"""All ways by name."""

DEFAULT = ("kill", "terminate", "freeze", "away", "reset", "client-closes")
"""The short set: most information in the least time."""
