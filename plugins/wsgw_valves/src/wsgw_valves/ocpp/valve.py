"""Sends open calls of a client to the next backend."""

from __future__ import annotations

from collections.abc import Sequence

from wsgw_core.api import (
    TEXT,
    Hydration,
    Message,
    MessageValve,
    ReplyExpected,
    SentOnce,
    Session,
)

from ..asked_calls import AskedCalls
from .frame import CALL, begin_of
from .settings import OcppSettings


class OcppValve:
    """The valve of one session.

    Args:
        settings: the valve's checked options.
        session: the session.
    """

    __slots__ = ("_answer_timeout", "_asked", "_session")

    def __init__(self, settings: OcppSettings, session: Session) -> None:
        self._answer_timeout = settings.answer_timeout
        self._session = session
        self._asked = AskedCalls(settings.max_calls)

    def before_transmit(self, message: Message) -> Message | None:
        """Marks a call as waiting for its answer; drops answers to calls of earlier backends."""
        if message.kind is not TEXT or (begin := begin_of(message.data)) is None:
            return message
        kind, identifier = begin
        if kind == CALL:
            return ReplyExpected(TEXT, message.data, identifier, self._answer_timeout)
        if self._asked.answer(identifier) and self._session.backend_id is not None:
            return SentOnce(TEXT, message.data)
        return None

    def after_receive(self, message: Message) -> Message:
        """Handles answers and calls of the backend."""
        if message.kind is TEXT and (begin := begin_of(message.data)) is not None:
            kind, identifier = begin
            if kind == CALL:
                self._asked.add(identifier)
            else:
                self._session.answered(identifier)
        return message

    def hydrate(self) -> Sequence[Hydration]:
        """Forgets calls of the lost backend. A new one needs no messages."""
        self._asked.clear()
        return ()

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._asked.bytes


def _is_valve(valve: OcppValve) -> MessageValve:
    return valve  # checked by the type checker
