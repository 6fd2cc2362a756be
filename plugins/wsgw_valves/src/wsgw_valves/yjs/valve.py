"""Synchronises the client with each new server."""

from __future__ import annotations

from collections.abc import Sequence

from wsgw_core.api import (
    BINARY,
    CloseSession,
    Hydration,
    Message,
    MessageValve,
    SentOnce,
    Session,
)

from ..session_memory import MemoryExceeded, SessionMemory
from .awareness import OwnAwareness
from .settings import YjsSettings

_STEP_1 = b"\x00\x00"
_AWARENESS = b"\x01"


class YjsValve:
    """The valve of one session.

    Args:
        settings: the valve's checked options.
        session: the session.
    """

    __slots__ = ("_awareness", "_is_in_flight", "_memory", "_session", "_step_1", "_taken")

    def __init__(self, settings: YjsSettings, session: Session) -> None:
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._taken: int | None = None  # bytes of the memory
        self._session = session
        self._awareness = OwnAwareness()
        self._step_1: Message | None = None
        # It came while no server served, so the core sends it to the next one.
        self._is_in_flight = False

    def before_transmit(self, message: Message) -> Message:
        """Remembers the last sync step 1, and the client's own state."""
        if message.kind is not BINARY:
            return message
        if message.data.startswith(_STEP_1):
            self._step_1 = message
            self._is_in_flight = self._session.backend_id is None
            self._note_size()
            return SentOnce(BINARY, message.data)
        if message.data.startswith(_AWARENESS):
            self._awareness.said(message.data)
            self._note_size()
        return message

    def after_receive(self, message: Message) -> Message:
        """Passes on every message."""
        return message

    def hydrate(self) -> Sequence[Hydration]:
        """Returns step 1, which the server answers with the client's missing changes."""
        steps = []
        if self._step_1 is not None and not self._is_in_flight:
            steps.append(Hydration(self._step_1))
        self._is_in_flight = False
        if self._awareness.message is not None:
            steps.append(Hydration(Message(BINARY, self._awareness.message)))
        return steps

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used

    def _note_size(self) -> None:
        if self._taken is not None:
            self._memory.free(self._taken)
        step_1 = 0 if self._step_1 is None else self._step_1.size
        self._taken = step_1 + len(self._awareness.message or b"")
        try:
            self._memory.take(self._taken)
        except MemoryExceeded as error:
            raise CloseSession(1008, str(error)) from None


def _is_valve(valve: YjsValve) -> MessageValve:
    return valve  # checked by the type checker
