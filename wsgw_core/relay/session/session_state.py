"""The states of a session and the events that lead from one to another.

Two rules for this file: all state logic is in the table, and the table knows nothing of sockets.
The diagram in docs/explanation/session-states.md is drawn from it by `mermaid()`.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a session is in its life."""

    DIALLING = "dialling"
    """The client waits for its answer while the first backend is dialled."""
    RELAYING = "relaying"
    """Client and backend are connected."""
    SETTLING = "settling"
    """The session is to move: a good moment is waited for, and another backend dialled."""
    LEAVING = "leaving"
    """The backend was told that the session moves; it is read to its end."""
    HOLDING = "holding"
    """The client is connected, a backend is being looked for."""
    CLOSING = "closing"
    """The backend has closed; the client gets what the valves still have of it, then the close."""
    FLUSHING = "flushing"
    """The client has left; the backend gets what is left and then the close."""
    FLUSH_HOLDING = "flush_holding"
    """The client has left, and a backend is being looked for to take what is left."""
    ENDED = "ended"
    """Nothing more happens."""


class Event(Enum):
    """What happens to a session."""

    BACKEND_READY = "backend ready"
    BACKEND_LOST = "backend lost"
    BACKEND_CLOSED = "backend closed"
    REPLIES_DELIVERED = "replies delivered"
    """The valves have nothing of the backend any more."""
    MOVE_PLANNED = "move planned"
    MOVE_CALLED_OFF = "move called off"
    """No other backend could be had, or it declined; or an operator has called the drain off."""
    SETTLED = "settled"
    """Another backend has accepted, and this one has had time to answer what it has."""
    CLIENT_CLOSED = "client closed"
    GIVEN_UP = "given up"
    """Nothing is owed any more, time is up, or somebody ended the session."""


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
    (State.LEAVING, Event.GIVEN_UP): State.ENDED,
    (State.HOLDING, Event.BACKEND_READY): State.RELAYING,
    (State.HOLDING, Event.CLIENT_CLOSED): State.FLUSH_HOLDING,
    (State.HOLDING, Event.GIVEN_UP): State.ENDED,
    (State.CLOSING, Event.REPLIES_DELIVERED): State.ENDED,
    (State.CLOSING, Event.GIVEN_UP): State.ENDED,
    (State.FLUSHING, Event.BACKEND_LOST): State.FLUSH_HOLDING,
    (State.FLUSHING, Event.BACKEND_CLOSED): State.ENDED,
    (State.FLUSHING, Event.GIVEN_UP): State.ENDED,
    (State.FLUSH_HOLDING, Event.BACKEND_READY): State.FLUSHING,
    (State.FLUSH_HOLDING, Event.GIVEN_UP): State.ENDED,
}


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        RuntimeError: the event cannot happen in this state: a fault in the relay.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(f"{event.value!r} cannot happen while {state.value}") from None


def mermaid() -> str:
    """Draw the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.DIALLING.value}"]
    lines += [
        f"    {before.value} --> {then.value}: {event.value}"
        for (before, event), then in TRANSITIONS.items()
    ]
    return "\n".join([*lines, f"    {State.ENDED.value} --> [*]"])
