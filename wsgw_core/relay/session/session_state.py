"""The states of a session and the events that lead from one to another, as a table.

Two rules for this file: all state logic is in the table, and the table knows nothing of sockets.
`mermaid()` draws the diagram in docs/explanation/session-states.md from it.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a session is in its life."""

    DIALLING = "dialling"
    """wsgw dials the first backend; the client waits for the answer to its handshake."""
    RELAYING = "relaying"
    """Client and backend are connected."""
    SETTLING = "settling"
    """A move is planned: wsgw waits until the session is quiet, and dials another backend."""
    LEAVING = "leaving"
    """wsgw has closed the old connection for a move, and reads what is left."""
    HOLDING = "holding"
    """The client is connected; wsgw looks for another backend."""
    CLOSING = "closing"
    """The backend has closed; the client gets what the valves still have, then the close."""
    FLUSHING = "flushing"
    """The client has left; the backend gets what is left, then the client's close."""
    FLUSH_LEAVING = "flush_leaving"
    """The same as LEAVING, but the client has left; the next backend gets what is left."""
    FLUSH_HOLDING = "flush_holding"
    """The client has left; wsgw looks for a backend that takes what is left."""
    ENDED = "ended"
    """Nothing more happens."""

    @property
    def client_has_left(self) -> bool:
        """Whether the client has left, and its last messages are still delivered."""
        return self in (State.FLUSHING, State.FLUSH_LEAVING, State.FLUSH_HOLDING)

    @property
    def is_leaving(self) -> bool:
        """Whether wsgw has closed the backend's connection for a move."""
        return self in (State.LEAVING, State.FLUSH_LEAVING)


class Event(Enum):
    """What happens to a session."""

    BACKEND_READY = "backend ready"
    BACKEND_LOST = "backend lost"
    BACKEND_CLOSED = "backend closed"
    REPLIES_DELIVERED = "replies delivered"
    """The valves have no message of the closed backend any more."""
    MOVE_PLANNED = "move planned"
    MOVE_CALLED_OFF = "move called off"
    """No other backend was found, one has declined, or an operator has ended the drain."""
    SETTLED = "settled"
    """Another backend has accepted, and this one has had time to answer what it has."""
    CLIENT_CLOSED = "client closed"
    GIVEN_UP = "given up"
    """Nothing is left to deliver, a timeout has passed, or an operator or plugin wants the end."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DIALLING, Event.BACKEND_READY): State.RELAYING,
    (State.DIALLING, Event.GIVEN_UP): State.ENDED,
    (State.RELAYING, Event.BACKEND_LOST): State.HOLDING,
    (State.RELAYING, Event.BACKEND_CLOSED): State.CLOSING,
    (State.RELAYING, Event.CLIENT_CLOSED): State.FLUSHING,
    (State.RELAYING, Event.MOVE_PLANNED): State.SETTLING,
    (State.RELAYING, Event.GIVEN_UP): State.ENDED,
    (State.SETTLING, Event.SETTLED): State.LEAVING,
    (State.SETTLING, Event.MOVE_CALLED_OFF): State.RELAYING,
    (State.SETTLING, Event.BACKEND_LOST): State.HOLDING,
    (State.SETTLING, Event.BACKEND_CLOSED): State.CLOSING,
    (State.SETTLING, Event.CLIENT_CLOSED): State.FLUSHING,
    (State.SETTLING, Event.GIVEN_UP): State.ENDED,
    (State.LEAVING, Event.BACKEND_LOST): State.HOLDING,
    (State.LEAVING, Event.CLIENT_CLOSED): State.FLUSH_LEAVING,
    (State.LEAVING, Event.GIVEN_UP): State.ENDED,
    (State.HOLDING, Event.BACKEND_READY): State.RELAYING,
    (State.HOLDING, Event.CLIENT_CLOSED): State.FLUSH_HOLDING,
    (State.HOLDING, Event.GIVEN_UP): State.ENDED,
    (State.CLOSING, Event.REPLIES_DELIVERED): State.ENDED,
    (State.CLOSING, Event.GIVEN_UP): State.ENDED,
    (State.FLUSHING, Event.BACKEND_LOST): State.FLUSH_HOLDING,
    (State.FLUSHING, Event.BACKEND_CLOSED): State.ENDED,
    (State.FLUSHING, Event.GIVEN_UP): State.ENDED,
    (State.FLUSH_LEAVING, Event.BACKEND_LOST): State.FLUSH_HOLDING,
    (State.FLUSH_LEAVING, Event.GIVEN_UP): State.ENDED,
    (State.FLUSH_HOLDING, Event.BACKEND_READY): State.FLUSHING,
    (State.FLUSH_HOLDING, Event.GIVEN_UP): State.ENDED,
}


def after(state: State, event: Event) -> State:
    """Returns the state that follows when an event happens.

    Raises:
        RuntimeError: the event cannot happen in this state, which is a fault in the relay.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(f"{event.value!r} cannot happen while {state.value}") from None


def mermaid() -> str:
    """Returns the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.DIALLING.value}"]
    lines += [
        f"    {before.value} --> {then.value}: {event.value}"
        for (before, event), then in TRANSITIONS.items()
    ]
    return "\n".join([*lines, f"    {State.ENDED.value} --> [*]"])
