"""The ways in which backends and clients are broken.

way      what a way consists of, and what is expected of the gateway
deaths   backends that end: killed, told to end, one after the other, all at once
outages  all backends away at once, and how soon clients are served again
silence  backends that are there and say nothing, or break off in mid-message
manners  backends that are slow, refuse, drop or never pong
clients  clients that are slow, vanish, flood, or send and close at once
moves    backends that live are left, as operators want it
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
"""All of them by name."""

DEFAULT = ("kill", "terminate", "freeze", "away", "reset", "client-closes")
"""Those that tell most in the shortest time."""
