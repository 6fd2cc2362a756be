"""How a connection ended, why it was closed, and what its end means for the session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .close_codes import CloseCode

# Codes by which a backend says that it goes for a reason of its own: RFC 6455 section 7.4.1.
LOSS_CODES = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.SERVICE_RESTART,
        CloseCode.TRY_AGAIN_LATER,
        CloseCode.BAD_GATEWAY,
    }
)


class EndMeaning(Enum):
    """What the end of a backend's connection means for its session."""

    OVER = "The session ends, and its client gets code and reason."
    LOSS = "The session moves, and no message is suspected."
    DEATH = "The session moves, and the messages under way are suspected: see failover.max-replays."


class CloseCause(Enum):
    """Why the core closes a connection, or why a session has ended."""

    CLIENT_LEFT = "client left"
    """The client has closed, or was lost."""
    SESSION_MOVES = "session moves"
    """The session goes on at another backend, or at another connection to the same one."""
    GATEWAY_STOPS = "gateway stops"
    SESSION_ENDED = "session ended"
    """A plugin, an operator or a limit has ended the session, or no backend was found for it."""
    BACKEND_ENDED = "backend ended"
    """A backend has closed normally. Only a session ends so: nobody closes the connection."""


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ended.

    Attributes:
        code: RFC 6455 section 7.4.1; 1005 (no code given) and 1006 (no close frame) included.
        reason: the peer's words, or ours for the log.
        abnormal: the session should go on elsewhere. The plugin decides, by its own protocol.
        breach: the backend broke its protocol, as `reason` says. When another backend of the same
            session breaks it in the same way, the session ends as if that end were not abnormal.
    """

    code: int
    reason: str = ""
    abnormal: bool = False
    breach: bool = False

    def __post_init__(self) -> None:
        """Keep a plain number, not a CloseCode: what writes codes may know numbers only."""
        object.__setattr__(self, "code", int(self.code))

    @property
    def meaning(self) -> EndMeaning:
        """What this end of a backend's connection means for the session."""
        if not self.abnormal:
            return EndMeaning.OVER
        return EndMeaning.LOSS if self.code in LOSS_CODES else EndMeaning.DEATH

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()
