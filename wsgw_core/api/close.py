"""How a connection ended, why it was closed, and what its end means for the session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .close_codes import CloseCode

# A backend sends these when it leaves for a reason of its own: RFC 6455 section 7.4.1.
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
    DEATH = "The session moves, and the messages in flight are suspected: see failover.max-replays."


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
    """A backend has closed normally. Only `session_ended` gets this cause."""


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ended.

    Attributes:
        code: a close code (RFC 6455 section 7.4.1), including 1005 (no code in the close frame) and
            1006 (no close frame).
        reason: the peer's reason, or the gateway's own for the log.
        abnormal: whether the session goes on at another backend. The plugin decides this by the
            rules of its protocol.
        breach: whether the backend broke its protocol; `reason` says how. If a second backend of
            the session breaks it in the same way, the session ends as if `abnormal` were false.
    """

    code: int
    reason: str = ""
    abnormal: bool = False
    breach: bool = False

    def __post_init__(self) -> None:
        """Stores a plain number instead of a CloseCode, for code that writes only numbers."""
        object.__setattr__(self, "code", int(self.code))

    @property
    def meaning(self) -> EndMeaning:
        """What this end of a backend's connection means for the session."""
        if not self.abnormal:
            return EndMeaning.OVER
        return EndMeaning.LOSS if self.code in LOSS_CODES else EndMeaning.DEATH

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()
