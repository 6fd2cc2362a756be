"""Sends open calls to the next backend, and hydrates it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from wsgw_core.api import (
    CloseSession,
    Hydration,
    Message,
    MessageValve,
    ReplyExpected,
    SentOnce,
    Session,
)

from ..asked_calls import AskedCalls
from ..session_memory import MemoryExceeded, SessionMemory
from .batches import Batches
from .document import document_of, id_of, is_answer
from .logins import Logins
from .own_calls import OwnCalls
from .settings import JsonRpcSettings
from .subscriptions import Subscriptions


class JsonRpcValve:
    """The valve of one session.

    Args:
        settings: the valve's checked options.
        session: the session.
    """

    __slots__ = (
        "_answer_timeout",
        "_asked",
        "_batches",
        "_largest",
        "_logins",
        "_memory",
        "_own",
        "_session",
        "_subscriptions",
    )

    def __init__(self, settings: JsonRpcSettings, session: Session) -> None:
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._answer_timeout = settings.answer_timeout
        self._largest = settings.max_size
        self._session = session
        self._logins = Logins(settings.logins, self._memory)
        self._subscriptions = Subscriptions(settings.subscriptions, self._memory)
        self._batches = Batches(settings.max_calls)
        self._own = OwnCalls()
        self._asked = AskedCalls(settings.max_calls)

    def before_transmit(self, message: Message) -> Message | None:
        """Marks calls as waiting for answers; drops answers to calls of earlier backends."""
        if message.size > self._largest:
            return message
        document = document_of(message.data)
        parts = document if isinstance(document, list) else [document]
        calls: list[bytes] = []
        answers = asked = 0
        is_changed = False
        for part in parts:
            if not isinstance(part, dict):
                continue
            id_ = id_of(part)
            if isinstance(part.get("method"), str):
                is_changed |= self._subscriptions.ended(part)
                if id_ is not None:
                    self._note_call(id_, message, part)
                    calls.append(id_)
            elif id_ is not None and is_answer(part):
                answers += 1
                asked += self._asked.answer(id_)
        data = to_json(document) if is_changed else message.data
        if calls:
            handle = calls[0] if parts is not document else self._batches.add(calls)
            if handle is not None:
                return ReplyExpected(message.kind, data, handle, self._answer_timeout)
        if answers:
            is_late = not asked or self._session.backend_id is None
            return None if is_late else SentOnce(message.kind, data)
        return Message(message.kind, data) if is_changed else message

    def after_receive(self, message: Message) -> Message | None:
        """Handles answers, calls and notifications of the backend; translates ids."""
        if message.size > self._largest:
            return message
        document = document_of(message.data)
        if not isinstance(document, list):
            if not isinstance(document, dict):
                return message
            if is_answer(document) and self._own.is_stale(id_of(document)):
                return None
            is_changed = self._note_said(document)
        else:
            is_changed = False
            for part in document:
                is_changed |= isinstance(part, dict) and self._note_said(part)
        return Message(message.kind, to_json(document)) if is_changed else message

    def hydrate(self) -> Sequence[Hydration]:
        """Returns the client's logins and subscriptions, with the valve's own ids."""
        self._asked.clear()
        self._own.forget()
        return [*self._logins.steps(self._own), *self._subscriptions.steps(self._own)]

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used + self._batches.bytes + self._asked.bytes

    def _note_call(self, id_: bytes, message: Message, call: dict[str, Any]) -> None:
        try:
            self._logins.called(id_, message.kind, call)
            self._subscriptions.called(id_, message.kind, call)
        except MemoryExceeded as error:
            raise CloseSession(1008, str(error)) from None

    def _note_answer(self, id_: bytes, answer: dict[str, Any]) -> bool:
        """Handles an answer; returns whether it was changed."""
        if self._own.waits_for(id_):
            return False
        self._logins.answered(id_, answer)
        is_changed = self._subscriptions.answered(id_, answer)
        batch = self._batches.answered(id_)
        self._session.answered(id_ if batch is None else batch)
        return is_changed

    def _note_said(self, said: dict[str, Any]) -> bool:
        """Handles one document of the backend; returns whether it was changed."""
        id_ = id_of(said)
        if is_answer(said):
            return id_ is not None and self._note_answer(id_, said)
        if not isinstance(said.get("method"), str):
            return False
        if id_ is None:
            return self._subscriptions.translated(said)
        self._asked.add(id_)
        return False


def _is_valve(valve: JsonRpcValve) -> MessageValve:
    return valve  # checked by the type checker
