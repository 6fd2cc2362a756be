"""Repeats a client's messages to each new backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsgw_core.api import CloseSession, Hydration, Message, MessageValve, Session

from ..session_memory import MemoryExceeded, SessionMemory
from .reading import Reading
from .rule_memory import RuleMemory
from .settings import RememberSettings


class RememberValve:
    """The valve of one session.

    Args:
        settings: the valve's checked options.
        session: the session.
    """

    __slots__ = (
        "_greeting",
        "_is_greeted",
        "_largest",
        "_listens",
        "_memories",
        "_memory",
        "_session",
        "_to_come",
    )

    def __init__(self, settings: RememberSettings, session: Session) -> None:
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._memories = tuple(
            RuleMemory(rule, place, self._memory, session.answered)
            for place, rule in enumerate(settings.rules)
        )
        self._greeting = settings.greeting
        self._is_greeted = settings.greeting is None
        # Whether the backend's messages can make the valve forget keys.
        self._listens = any(rule.forget_from_backend is not None for rule in settings.rules)
        self._largest = settings.max_size
        self._session = session
        self._to_come = 0  # answers of the current backend to its hydration

    def before_transmit(self, message: Message) -> Message:
        """Remembers a message, and forgets the keys that it ends."""
        if message.size > self._largest:
            return message
        reading = Reading(message)
        for memory in self._memories:
            memory.client_said(reading)
        served = self._session.backend_id is not None
        try:
            for memory in self._memories:
                going = memory.remember(reading, message, served=served)
                if going is not None:
                    return going
        except MemoryExceeded as error:
            raise CloseSession(1008, str(error)) from None
        return message

    def after_receive(self, message: Message) -> Message:
        """Handles an answer, and forgets the keys that it ends."""
        waits = not self._to_come and any(memory.waits for memory in self._memories)
        if (waits or self._listens or not self._is_greeted) and message.size <= self._largest:
            reading = Reading(message)
            if self._greeting is not None and not self._is_greeted:
                self._is_greeted = self._greeting.holds(reading)
            for memory in self._memories:
                memory.backend_said(reading, answers=waits)
        return message

    def hydrate(self) -> Sequence[Hydration]:
        """Returns the remembered messages, rule by rule."""
        self._to_come = 0
        steps = []
        if self._greeting is not None and self._is_greeted:
            steps.append(Hydration(None, self._heard(self._greeting.holds)))
        for memory in self._memories:
            for message, answers in memory.steps():
                steps.append(Hydration(message, None if answers is None else self._heard(answers)))
        return steps

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used

    def _heard(self, is_answer: Callable[[Reading], bool]) -> Callable[[Message], bool]:
        """Returns a function that recognises an answer, and counts the answer."""
        self._to_come += 1

        def heard(message: Message) -> bool:
            if message.size > self._largest or not is_answer(Reading(message)):
                return False
            self._to_come -= 1
            return True

        return heard


def _is_valve(valve: RememberValve) -> MessageValve:
    return valve  # checked by the type checker
